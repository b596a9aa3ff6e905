/** The three query languages for the editor: grammar, colours and completion. Diagnostics come from the server. */
import { autocompletion, closeBrackets } from '@codemirror/autocomplete';
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { LanguageSupport, LRLanguage } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { parser as logqlParser } from '@grafana/lezer-logql';
import { parser as traceqlParser } from '@grafana/lezer-traceql';
import { styleTags, tags as t } from '@lezer/highlight';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { lokiLabels, lokiLabelValues } from '@/core/api/loki';
import { traceTags, traceTagValues } from '@/core/api/tempo';
import type { Range } from '@/core/time/parse';

export type Language = 'promql' | 'logql' | 'traceql';

const logqlLanguage = LRLanguage.define({
  name: 'logql',
  parser: logqlParser.configure({
    props: [
      styleTags({
        LineComment: t.comment,
        String: t.string,
        'Number Duration Bytes Range': t.number,
        'Identifier LabelName': t.labelName,
        'Json Logfmt Unpack Pattern Regexp Unwrap LabelFormat LineFormat Decolorize Drop Keep ParserFlag': t.keyword,
        'By Without On Ignoring GroupLeft GroupRight Bool Offset And Or Unless': t.modifier,
        'Sum Avg Count Max Min Stddev Stdvar Bottomk Topk Sort Sort_Desc LabelReplace Vector Ip': t.function(t.variableName),
        'CountOverTime Rate RateCounter BytesOverTime BytesRate AvgOverTime SumOverTime MinOverTime MaxOverTime StddevOverTime StdvarOverTime QuantileOverTime FirstOverTime LastOverTime AbsentOverTime BytesConv DurationConv DurationSecondsConv': t.function(t.variableName),
        'Pipe PipeExact PipeMatch PipePattern Npa Eq Neq Re Nre Gtr Gte Lss Lte Eql Add Sub Mul Div Mod Pow': t.operator,
      }),
    ],
  }),
  languageData: { commentTokens: { line: '#' }, closeBrackets: { brackets: ['(', '[', '{', '"', '`'] } },
});

const traceqlLanguage = LRLanguage.define({
  name: 'traceql',
  parser: traceqlParser.configure({
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

const words = (list: string, type: string, detail?: string): Completion[] => list.split(' ').map((label) => ({ label, type, ...(detail ? { detail } : {}) }));

const logqlFunctions = words(
  'rate count_over_time bytes_rate bytes_over_time sum_over_time avg_over_time min_over_time max_over_time quantile_over_time first_over_time last_over_time absent_over_time sum avg min max count topk bottomk sort sort_desc',
  'function',
);
const logqlStages = words('json logfmt pattern regexp unpack line_format label_format unwrap decolorize drop keep', 'keyword', 'stage');
const traceqlIntrinsics = words('name status kind duration statusMessage rootName rootServiceName traceDuration span:id trace:id event:name', 'keyword', 'intrinsic');
const traceqlFunctions = words('count avg min max sum by select coalesce rate count_over_time quantile_over_time histogram_over_time', 'function');

const insideBraces = (before: string) => before.lastIndexOf('{') > before.lastIndexOf('}');

const quoted = (values: string[], open: boolean): Completion[] => values.map((v) => ({ label: v, apply: open ? v : `"${v}"`, type: 'constant' }));

function logqlSource(range: () => Range) {
  return async (ctx: CompletionContext): Promise<CompletionResult | null> => {
    const before = ctx.state.sliceDoc(0, ctx.pos);
    if (insideBraces(before)) {
      const value = /([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*("?)([^"{},]*)$/.exec(before);
      if (value) {
        const values = await lokiLabelValues(value[1]!, range());
        return { from: ctx.pos - value[3]!.length, options: quoted(values, value[2] === '"'), validFor: /^[^"]*$/ };
      }
      const word = ctx.matchBefore(/\w*/);
      if (!word || (word.from === word.to && !ctx.explicit && !/[{,]\s*$/.test(before))) return null;
      const labels = await lokiLabels(range());
      return { from: word.from, options: labels.map((label) => ({ label, type: 'property', apply: `${label}=` })), validFor: /^\w*$/ };
    }
    const stage = /\|\s*(\w*)$/.exec(before);
    if (stage && before.includes('}')) return { from: ctx.pos - stage[1]!.length, options: logqlStages, validFor: /^\w*$/ };
    const word = ctx.matchBefore(/\w+/);
    if (!word && !ctx.explicit) return null;
    return { from: word?.from ?? ctx.pos, options: logqlFunctions, validFor: /^\w*$/ };
  };
}

function traceqlSource(range: () => Range) {
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
      const options = [...traceqlIntrinsics];
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
    return { from: word?.from ?? ctx.pos, options: traceqlFunctions, validFor: /^\w*$/ };
  };
}

// The completions are a convenience: when the server refuses, there are none.
function quiet(source: (c: CompletionContext) => Promise<CompletionResult | null>) {
  return (ctx: CompletionContext) => source(ctx).catch(() => null);
}

/** The editor extensions of a language. */
export function languageExtension(language: Language, range: () => Range): Extension {
  if (language === 'promql') {
    const ext = new PromQLExtension().activateLinter(false).setComplete({ remote: { url: '', httpMethod: 'GET', cache: { maxAge: 30_000 }, httpErrorHandler: () => undefined } });
    return [ext.asExtension(), closeBrackets(), autocompletion({ icons: false })];
  }
  const [lang, source] = language === 'logql' ? [logqlLanguage, logqlSource(range)] : [traceqlLanguage, traceqlSource(range)];
  return [new LanguageSupport(lang, lang.data.of({ autocomplete: quiet(source) })), closeBrackets(), autocompletion({ icons: false })];
}
