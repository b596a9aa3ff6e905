/** TraceQL for the editor: grammar, colours and completion. Diagnostics come from the server. */
import { autocompletion, closeBrackets } from '@codemirror/autocomplete';
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { LanguageSupport, LRLanguage } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { parser } from '@grafana/lezer-traceql';
import { styleTags, tags as t } from '@lezer/highlight';
import { traceTags, traceTagValues } from '@/core/api/tempo';
import type { Range } from '@/core/time/parse';
import { insideBraces, quiet, words } from './common';

const language = LRLanguage.define({
  name: 'traceql',
  parser: parser.configure({
    props: [
      styleTags({
        'LineComment BlockComment': t.comment,
        String: t.string,
        'Integer Float Duration': t.number,
        Identifier: t.labelName,
        'IntrinsicField Parent Event Instrumentation Link Resource Span': t.keyword,
        'Aggregate GroupOperation SelectOperation CoalesceOperation MetricsOperation MetricsOperationBasicType MetricsOverTimeType MetricsAggregatorFunctionType With': t.function(t.variableName),
        'FieldOp ComparisonOp ScalarOp And Or Pipe Gt Lt Desc Anc ExperimentalOp UnionStructuralOp': t.operator,
        Static: t.atom,
      }),
    ],
  }),
  languageData: { commentTokens: { line: '//' }, closeBrackets: { brackets: ['(', '{', '"', '`'] } },
});

const intrinsics = words('name status kind duration statusMessage rootName rootServiceName traceDuration span:id trace:id event:name', 'keyword', 'intrinsic');
const functions = words('count avg min max sum by select coalesce rate count_over_time quantile_over_time histogram_over_time', 'function');

function source(range: () => Range) {
  return async (ctx: CompletionContext): Promise<CompletionResult | null> => {
    const before = ctx.state.sliceDoc(0, ctx.pos);
    if (insideBraces(before)) {
      const value = /([\w.:"-]+)\s*(?:=~|!~|!=|=)\s*("?)([^"{}&|\s]*)$/.exec(before);
      if (value) {
        const values = await traceTagValues(value[1]!, range());
        const open = value[2] === '"';
        const options = values.map((v): Completion => ({ label: v.value ?? '', apply: open || v.type !== 'string' ? (v.value ?? '') : `"${v.value ?? ''}"`, type: 'constant' }));
        return { from: ctx.pos - value[3]!.length, options, validFor: /^[^"]*$/ };
      }
      const word = ctx.matchBefore(/[\w.:]*/);
      if (!word || (word.from === word.to && !ctx.explicit && !/[{&|]\s*$/.test(before))) return null;
      const scopes = await traceTags(range());
      const options = [...intrinsics];
      for (const s of scopes) {
        if (s.name === 'intrinsic') continue;
        for (const tag of s.tags) {
          const name = /^[\w.:/-]+$/.test(tag) ? tag : `"${tag}"`;
          options.push({ label: `${s.name}.${name}`, type: 'property', detail: s.name });
        }
      }
      return { from: word.from, options, validFor: /^[\w.:]*$/ };
    }
    const word = ctx.matchBefore(/\w+/);
    if (!word && !ctx.explicit) return null;
    return { from: word?.from ?? ctx.pos, options: functions, validFor: /^\w*$/ };
  };
}

export function traceql(range: () => Range): Extension {
  return [new LanguageSupport(language, language.data.of({ autocomplete: quiet(source(range)) })), closeBrackets(), autocompletion({ icons: false })];
}
