/** The query form of the metrics page: the PromQL it understands, in both directions. */
import { escapeString } from '../api/prometheus';
import { selector } from './promql';

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  label: string;
  op: MatchOp;
  value: string;
}

/** Read from the inside out: select, apply the function over the window, aggregate, take the quantile. */
export interface PromForm {
  metric: string;
  matchers: Matcher[];
  fn: string;
  window: string;
  agg: string;
  /** The number of topk and bottomk. */
  k: string;
  by: string[];
  /** Set for histogram_quantile. */
  quantile: string;
}

export const emptyPromForm: PromForm = { metric: '', matchers: [], fn: '', window: '$__rate_interval', agg: '', k: '10', by: [], quantile: '' };

export const rangeFunctions = ['rate', 'increase', 'irate', 'delta', 'deriv', 'changes', 'avg_over_time', 'max_over_time', 'min_over_time', 'sum_over_time', 'last_over_time'];
export const aggregations = ['sum', 'avg', 'min', 'max', 'count', 'stddev', 'topk', 'bottomk'];

/** True when the parenthesis that opens the text closes at its very end. */
function wraps(text: string): boolean {
  let depth = 0;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote) {
      if (c === '\\' && quote !== '`') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') quote = c;
    else if (c === '(') depth++;
    else if (c === ')' && --depth === 0 && i < text.length - 1) return false;
  }
  return depth === 0 && !quote && text.startsWith('(') && text.endsWith(')');
}

const labelList = (text: string) =>
  text
    .split(',')
    .map((l) => l.trim())
    .filter(Boolean);

const matcherText = /^\s*([a-zA-Z_][\w.]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)/;

function parseSelector(text: string): Pick<PromForm, 'metric' | 'matchers'> | undefined {
  const m = /^\s*([a-zA-Z_:][\w:]*)?\s*(?:\{([\s\S]*)\})?\s*$/.exec(text);
  if (!m || (!m[1] && m[2] === undefined)) return undefined;
  const matchers: Matcher[] = [];
  let rest = (m[2] ?? '').trim();
  while (rest !== '') {
    const x = matcherText.exec(rest);
    if (!x) return undefined;
    matchers.push({ label: x[1]!, op: x[2] as MatchOp, value: x[3]!.replace(/\\(["\\])/g, '$1') });
    rest = rest.slice(x[0].length).trim();
  }
  return { metric: m[1] ?? '', matchers };
}

function parseRange(text: string): Pick<PromForm, 'metric' | 'matchers' | 'fn' | 'window'> | undefined {
  const m = /^\s*(\w+)\s*(\([\s\S]*\))\s*$/.exec(text);
  if (!m) {
    const sel = parseSelector(text);
    return sel && { ...sel, fn: '', window: emptyPromForm.window };
  }
  if (!rangeFunctions.includes(m[1]!) || !wraps(m[2]!)) return undefined;
  const inner = /^\(([\s\S]*)\[([^\]]+)\]\s*\)$/.exec(m[2]!);
  const sel = inner && parseSelector(inner[1]!);
  return sel ? { ...sel, fn: m[1]!, window: inner[2]!.trim() } : undefined;
}

/** Reads a query into the form; undefined when it is more than the form can show. */
export function parsePromForm(query: string): PromForm | undefined {
  const text = query.trim();
  if (text === '') return { ...emptyPromForm };
  const hq = /^histogram_quantile\s*(\([\s\S]*\))$/.exec(text);
  if (hq) {
    const inner = wraps(hq[1]!) && /^\(\s*([\d.]+)\s*,([\s\S]*)\)$/.exec(hq[1]!);
    const f = inner ? parsePromForm(inner[2]!) : undefined;
    if (!inner || !f || f.quantile || f.agg !== 'sum' || !f.by.includes('le')) return undefined;
    return { ...f, quantile: inner[1]!, by: f.by.filter((l) => l !== 'le') };
  }
  // `sum(x) by (a)` is `sum by (a) (x)`.
  const front = text.replace(/^(\w+)\s*(\([\s\S]*\))\s*(by\s*\([^()]*\))$/, '$1 $3 $2');
  const agg = /^(\w+)\s*(?:by\s*\(([^)]*)\)\s*)?(\([\s\S]*\))$/.exec(front);
  if (agg && aggregations.includes(agg[1]!)) {
    if (!wraps(agg[3]!)) return undefined;
    let inner = agg[3]!.slice(1, -1);
    let k = emptyPromForm.k;
    if (/^(topk|bottomk)$/.test(agg[1]!)) {
      const first = /^\s*(\d+)\s*,([\s\S]*)$/.exec(inner);
      if (!first) return undefined;
      k = first[1]!;
      inner = first[2]!;
    }
    const r = parseRange(inner);
    return r && { ...r, agg: agg[1]!, k, by: labelList(agg[2] ?? ''), quantile: '' };
  }
  const r = parseRange(text);
  return r && { ...r, agg: '', k: emptyPromForm.k, by: [], quantile: '' };
}

export function formatPromForm(f: PromForm): string {
  if (f.metric === '' && f.matchers.length === 0) return '';
  const matchers = f.matchers
    .filter((m) => m.label !== '')
    .map((m) => `${m.label}${m.op}"${escapeString(m.value)}"`)
    .join(', ');
  let out = f.metric ? selector(f.metric, matchers) : `{${matchers}}`;
  if (f.fn) out = `${f.fn}(${out}[${f.window || emptyPromForm.window}])`;
  const agg = f.quantile ? 'sum' : f.agg;
  const by = f.quantile ? ['le', ...f.by] : f.by;
  if (agg) out = `${agg}${by.length > 0 ? ` by (${by.join(', ')}) ` : ''}(${/^(topk|bottomk)$/.test(agg) ? `${f.k || 10}, ` : ''}${out})`;
  return f.quantile ? `histogram_quantile(${f.quantile}, ${out})` : out;
}

/** Splits the result of an expression by one more label. */
export function breakDown(expr: string, label: string): string {
  const by = /\bby\s*\(([^)]*)\)/.exec(expr);
  if (by) {
    if (labelList(by[1]!).includes(label)) return expr;
    return expr.replace(/\bby\s*\(([^)]*)\)/g, (_all, list: string) => `by (${[...labelList(list), label].join(', ')})`);
  }
  const f = parsePromForm(expr);
  if (f) return formatPromForm({ ...f, agg: f.agg || 'sum', by: [...f.by, label] });
  const agg = /\b(sum|avg|min|max|count)\s*\(/.exec(expr);
  if (agg) return expr.replace(/\b(sum|avg|min|max|count)\s*\(/, `$1 by (${label}) (`);
  return `sum by (${label}) (${expr})`;
}

/** Fills `{{label}}` in a legend. */
export function legendText(template: string, labels: Record<string, string>): string {
  return template.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_all, name: string) => labels[name] ?? '');
}
