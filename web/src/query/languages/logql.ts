/** LogQL for the editor: grammar, colours and completion. Diagnostics come from the server. */
import { autocompletion, closeBrackets } from '@codemirror/autocomplete';
import type { CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { LanguageSupport, LRLanguage } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { parser } from '@grafana/lezer-logql';
import { styleTags, tags as t } from '@lezer/highlight';
import { lokiLabels, lokiLabelValues } from '@/core/api/loki';
import type { Range } from '@/core/time/parse';
import { insideBraces, quiet, quoted, words } from './common';

const language = LRLanguage.define({
  name: 'logql',
  parser: parser.configure({
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

const functions = words(
  'rate count_over_time bytes_rate bytes_over_time sum_over_time avg_over_time min_over_time max_over_time quantile_over_time first_over_time last_over_time absent_over_time sum avg min max count topk bottomk sort sort_desc',
  'function',
);
const stages = words('json logfmt pattern regexp unpack line_format label_format unwrap decolorize drop keep', 'keyword', 'stage');

function source(range: () => Range) {
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
    if (stage && before.includes('}')) return { from: ctx.pos - stage[1]!.length, options: stages, validFor: /^\w*$/ };
    const word = ctx.matchBefore(/\w+/);
    if (!word && !ctx.explicit) return null;
    return { from: word?.from ?? ctx.pos, options: functions, validFor: /^\w*$/ };
  };
}

export function logql(range: () => Range): Extension {
  return [new LanguageSupport(language, language.data.of({ autocomplete: quiet(source(range)) })), closeBrackets(), autocompletion({ icons: false })];
}
