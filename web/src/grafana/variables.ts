/** Resolving a dashboard's variables in order, each with the values of those before it. */
import { getJSON } from '@/core/api/http';
import { lokiLabels, lokiLabelValues } from '@/core/api/loki';
import { labelNames, queryInstant, toSeries } from '@/core/api/prometheus';
import { traceTagValues } from '@/core/api/tempo';
import type { Range } from '@/core/time/parse';
import { regexOf } from './display';
import { obj, str } from './model';
import type { Option, Variable } from './model';
import { sourceOfVariable, sourcesOfType } from './sources';
import { durationText, interpolate, intervalFor } from './template';
import type { Value, Values } from './template';

export const all = '$__all';

export interface Filter {
  key: string;
  operator: string;
  value: string;
}

export interface Resolved {
  variable: Variable;
  options: Option[];
  /** What is chosen, `$__all` included. */
  chosen: string[];
  value: Value;
  filters?: Filter[];
  error?: string;
  /** Says why there is nothing to choose. */
  unsupported?: string;
}

/** What a query variable asks for. */
export type VariableQuery =
  | { kind: 'label_values'; match: string | undefined; label: string }
  | { kind: 'label_names'; match: string | undefined }
  | { kind: 'metrics'; pattern: string }
  | { kind: 'query_result'; expr: string }
  | { kind: 'series'; match: string }
  | { kind: 'unsupported' };

/** Splits at the last comma outside of braces and quotes. */
function lastComma(s: string): number {
  let depth = 0;
  let quote = '';
  let at = -1;
  for (let i = 0; i < s.length; i++) {
    const c = s[i]!;
    if (quote) {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') quote = c;
    else if ('({['.includes(c)) depth++;
    else if (')}]'.includes(c)) depth--;
    else if (c === ',' && depth === 0) at = i;
  }
  return at;
}

export function readQuery(v: Variable): VariableQuery {
  const q = obj(v.query);
  if (typeof v.query === 'object' && typeof q['query'] !== 'string' && q['label'] !== undefined) {
    // Loki's own form: type 1 are the values of a label, anything else its names.
    return q['type'] === 0 ? { kind: 'label_names', match: undefined } : { kind: 'label_values', match: str(q['stream']) || undefined, label: String(q['label']) };
  }
  const text = (typeof v.query === 'string' ? v.query : (str(q['query']) ?? str(q['expr']) ?? '')).trim();
  const call = /^(label_values|label_names|metrics|query_result)\s*\(([\s\S]*)\)\s*$/.exec(text);
  if (!call) {
    if (/^\{|^[a-zA-Z_:][\w:]*\s*(\{.*\})?$/s.test(text)) return { kind: 'series', match: text };
    return text ? { kind: 'query_result', expr: text } : { kind: 'unsupported' };
  }
  const args = call[2]!.trim();
  switch (call[1]) {
    case 'label_names':
      return { kind: 'label_names', match: args || undefined };
    case 'metrics':
      return { kind: 'metrics', pattern: args };
    case 'query_result':
      return { kind: 'query_result', expr: args };
    default: {
      const at = lastComma(args);
      return at < 0 ? { kind: 'label_values', match: undefined, label: args } : { kind: 'label_values', match: args.slice(0, at).trim() || undefined, label: args.slice(at + 1).trim() };
    }
  }
}

/** The text of a query of metrics, as Grafana writes it. */
export function queryText(q: VariableQuery): string {
  switch (q.kind) {
    case 'label_values':
      return q.match ? `label_values(${q.match}, ${q.label})` : `label_values(${q.label})`;
    case 'label_names':
      return `label_names(${q.match ?? ''})`;
    case 'metrics':
      return `metrics(${q.pattern})`;
    case 'query_result':
      return `query_result(${q.expr})`;
    case 'series':
      return q.match;
    case 'unsupported':
      return '';
  }
}

/** Whether the options of a variable depend on the time range. */
export function usesTime(v: Variable): boolean {
  return v.refresh === 2 || (v.type === 'query' && readQuery(v).kind === 'query_result') || (v.type === 'interval' && v.auto);
}

/** Answers are shared by everyone who asks for the same, so nobody cancels a request. */
type Fetch = <T>(key: string, get: () => Promise<T>) => Promise<T>;

async function queryOptions(v: Variable, values: Values, variables: Variable[], range: Range, fetch: Fetch): Promise<Option[]> {
  const source = sourceOfVariable(v, values, variables);
  if (typeof source === 'object') throw new Unsupported(source.unsupported);
  const q = readQuery(v);
  const fill = (s: string) => interpolate(s, values);
  const key = JSON.stringify([source, q, q.kind === 'label_values' ? fill(q.match ?? '') : q.kind === 'query_result' ? fill(q.expr) : q.kind === 'series' ? fill(q.match) : '', usesTime(v) ? range : 0]);
  if (source === 'loki') {
    if (q.kind === 'label_names') return texts(await fetch(key, () => lokiLabels(range)));
    if (q.kind === 'label_values') return texts(await fetch(key, () => lokiLabelValues(fill(q.label), range, q.match ? fill(q.match) : undefined)));
    throw new Unsupported('this query of Loki');
  }
  if (source === 'tempo') {
    if (q.kind === 'label_values') return texts((await fetch(key, () => traceTagValues(fill(q.label), range))).map((x) => x.value ?? ''));
    throw new Unsupported('this query of Tempo');
  }
  switch (q.kind) {
    case 'label_values':
      return texts(await fetch(key, () => promValues(fill(q.label), q.match ? fill(q.match) : undefined, range)));
    case 'label_names':
      return texts(await fetch(key, () => labelNames(q.match ? fill(q.match) : undefined, range)));
    case 'metrics': {
      const re = regexOf(fill(q.pattern));
      return texts((await fetch(key, () => promValues('__name__', undefined, range))).filter((n) => !re || re.test(n)));
    }
    case 'query_result': {
      const { series } = await fetch(key, () => queryInstant(fill(q.expr), range.to));
      return texts(
        series.map((s) => {
          const { __name__: name = '', ...labels } = s.labels;
          const inner = Object.entries(labels).map(([k, x]) => `${k}="${x}"`).join(',');
          return `${name}${inner || !name ? `{${inner}}` : ''} ${s.values[s.values.length - 1]} ${Math.round((s.times[s.times.length - 1] ?? 0) * 1000)}`;
        }),
      );
    }
    case 'series':
      return texts(
        await fetch(key, async () => {
          const { body } = await getJSON<{ data?: Record<string, string>[] }>('/api/v1/series', { 'match[]': fill(q.match), start: range.from / 1000, end: range.to / 1000, limit: 1000 });
          return (body.data ?? []).map(({ __name__: name = '', ...labels }) => `${name}{${Object.entries(labels).map(([k, x]) => `${k}="${x}"`).join(',')}}`);
        }),
      );
    default:
      throw new Unsupported('this query');
  }
}

class Unsupported extends Error {}

async function promValues(label: string, match: string | undefined, range: Range): Promise<string[]> {
  // A selector may be a whole expression; only a series selector can be matched directly.
  if (match && !/^[\w:]*\s*(\{[\s\S]*\})?$/.test(match)) {
    const { body } = await getJSON<{ data: Parameters<typeof toSeries>[0] }>('/api/v1/query', { query: match, time: range.to / 1000 });
    return [...new Set(toSeries(body.data).map((s) => s.labels[label] ?? ''))];
  }
  const { body } = await getJSON<{ data?: string[] }>(`/api/v1/label/${encodeURIComponent(label)}/values`, { start: range.from / 1000, end: range.to / 1000, 'match[]': match });
  return body.data ?? [];
}

const texts = (list: string[]): Option[] => [...new Set(list)].filter((x) => x !== '').map((x) => ({ text: x, value: x }));

/** Applies the variable's regular expression: the first group, or groups named value and text. */
export function applyRegex(options: Option[], regex: string): Option[] {
  if (!regex) return options;
  const re = regexOf(regex, 'g');
  if (!re) return options;
  const out = new Map<string, Option>();
  for (const o of options) {
    for (const m of o.text.matchAll(re)) {
      const value = m.groups?.['value'] ?? (m.groups?.['text'] !== undefined && m.groups['value'] === undefined ? m.groups['text'] : undefined) ?? m[1] ?? m[0];
      const text = m.groups?.['text'] ?? value;
      if (value !== undefined && !out.has(value)) out.set(value, { text: text ?? value, value });
      // Without groups only the first match of each counts.
      if (m.length === 1) break;
    }
  }
  return [...out.values()];
}

/** Grafana's sort orders: 1, 2 alphabetical; 3, 4 numerical; 5, 6 ignoring case; 7, 8 natural. Even is descending. */
export function sortOptions(options: Option[], sort: number): Option[] {
  if (sort === 0) return options;
  const number = (o: Option) => Number(/-?\d+(\.\d+)?/.exec(o.text)?.[0] ?? -1);
  const by: Record<number, (a: Option, b: Option) => number> = {
    0: (a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0),
    1: (a, b) => number(a) - number(b),
    2: (a, b) => a.text.toLowerCase().localeCompare(b.text.toLowerCase(), 'en'),
    3: (a, b) => a.text.localeCompare(b.text, 'en', { numeric: true }),
  };
  const compare = by[Math.floor((sort - 1) / 2)] ?? by[0]!;
  const sorted = [...options].sort(compare);
  return sort % 2 === 0 ? sorted.reverse() : sorted;
}

/** `a, b : c, d\,e`: values, or text and value with ` : ` between them. */
export function customOptions(query: string): Option[] {
  return query
    .split(/(?<!\\),/)
    .map((s) => s.trim().replaceAll('\\,', ','))
    .filter(Boolean)
    .map((s) => {
      const m = /^(.+?)\s:\s(.+)$/.exec(s);
      return m ? { text: m[1]!.trim(), value: m[2]!.trim() } : { text: s, value: s };
    });
}

async function optionsOf(v: Variable, values: Values, variables: Variable[], range: Range, fetch: Fetch): Promise<Option[]> {
  switch (v.type) {
    case 'query': {
      const found = await queryOptions(v, values, variables, range, fetch);
      return sortOptions(applyRegex(found, interpolate(v.regex, values, 'raw')), v.sort);
    }
    case 'datasource': {
      // A filter was written for names of another server: one that matches none of ours leaves all.
      const all = sourcesOfType(String(v.query)).map((s) => ({ text: s.name, value: s.uid }));
      const re = v.regex ? regexOf(interpolate(v.regex, values, 'raw')) : undefined;
      const some = re ? all.filter((o) => re.test(o.text)) : all;
      return some.length > 0 ? some : all;
    }
    case 'custom':
      return customOptions(String(v.query ?? ''));
    case 'interval':
      return [...(v.auto ? [{ text: 'auto', value: '$__auto_interval' }] : []), ...customOptions(String(v.query ?? ''))];
    case 'constant':
      return [{ text: String(v.query ?? ''), value: String(v.query ?? '') }];
    default:
      return v.options;
  }
}

/** What is chosen: the address, else the dashboard's own choice where it still exists, else the first. */
export function choose(v: Variable, options: Option[], asked: string[] | undefined): string[] {
  const has = (x: string) => (x === all && v.includeAll) || options.some((o) => o.value === x);
  if (v.type === 'constant') return [String(v.query ?? '')];
  if (v.type === 'textbox') return asked ?? v.current ?? [typeof v.query === 'string' ? v.query : ''];
  if (asked) {
    // What the address names counts even if it is not on the list: a link may be older or wider than the data.
    const named = asked.map((x) => (x === 'All' && v.includeAll && !options.some((o) => o.value === 'All') ? all : (options.find((o) => o.text === x && !has(x))?.value ?? x)));
    if (v.type !== 'datasource' || named.every(has)) return v.multi ? named : named.slice(0, 1);
  }
  const own = (v.current ?? []).filter(has);
  if (own.length > 0) return v.multi ? own : own.slice(0, 1);
  // An export for sharing has nothing chosen.
  if (v.includeAll) return [all];
  return options.length > 0 ? [options[0]!.value] : (v.current ?? []);
}

function valueOf(v: Variable, options: Option[], chosen: string[], range: Range): Value {
  const multi = v.multi || v.includeAll;
  if (chosen.includes(all)) {
    if (v.allValue !== undefined) return { values: [v.allValue], text: 'All', multi: false };
    return { values: options.length > 0 ? options.map((o) => o.value) : ['.*'], text: 'All', multi: options.length > 0 && multi };
  }
  if (v.type === 'interval') {
    const auto = chosen[0] === '$__auto_interval' || chosen[0]?.startsWith('$__auto_interval');
    const value = auto ? durationText(intervalFor(range, v.autoCount, 10_000)) : (chosen[0] ?? '1m');
    return { values: [value], text: auto ? 'auto' : value, multi: false };
  }
  return { values: chosen.length > 0 ? chosen : [''], text: chosen.map((c) => options.find((o) => o.value === c)?.text ?? c).join(' + '), multi };
}

/** `key|operator|value`, as Grafana writes filters into the address. */
export function readFilters(list: string[]): Filter[] {
  return list
    .map((s) => s.split('|').map((x) => x.replaceAll('__gfp__', '|')))
    .filter((p) => p.length === 3)
    .map(([key, operator, value]) => ({ key: key!, operator: operator!, value: value! }));
}

export const writeFilter = (f: Filter): string => [f.key, f.operator, f.value].map((x) => x.replaceAll('|', '__gfp__')).join('|');

/** Resolves all variables. `asked` has what the address says of each. */
export async function resolveVariables(variables: Variable[], asked: Record<string, string[] | undefined>, range: Range, builtin: Values, fetch: Fetch): Promise<Resolved[]> {
  const values: Values = { ...builtin };
  const out: Resolved[] = [];
  for (const v of variables) {
    if (v.type === 'adhoc') {
      out.push({ variable: v, options: [], chosen: [], value: { values: [], text: '', multi: false }, filters: readFilters(asked[v.name] ?? []) });
      continue;
    }
    let options: Option[] = [];
    let error: string | undefined;
    let unsupported: string | undefined;
    try {
      options = await optionsOf(v, values, variables, range, fetch);
    } catch (err) {
      if (err instanceof Unsupported) unsupported = err.message;
      else error = err instanceof Error ? err.message : String(err);
      options = v.options.filter((o) => o.value !== all);
    }
    const chosen = choose(v, options, asked[v.name]);
    const value = valueOf(v, options, chosen, range);
    values[v.name] = value;
    out.push({ variable: v, options, chosen, value, ...(error ? { error } : {}), ...(unsupported ? { unsupported } : {}) });
  }
  return out;
}

export function valuesOf(list: Resolved[]): Values {
  return Object.fromEntries(list.filter((r) => r.variable.type !== 'adhoc').map((r) => [r.variable.name, r.value]));
}

/** Adds the filters to every selector of a PromQL or LogQL query. */
export function addFilters(expr: string, filters: Filter[]): string {
  const extra = filters.filter((f) => f.key && /^(=|!=|=~|!~)$/.test(f.operator)).map((f) => `${f.key}${f.operator}${JSON.stringify(f.value)}`).join(', ');
  if (!extra) return expr;
  let out = '';
  let quote = '';
  const bare = /^[a-zA-Z_:][\w:]*/;
  const words = /^(by|without|on|ignoring|group_left|group_right|bool|and|or|unless|offset|inf|nan|atan2)$/i;
  for (let i = 0; i < expr.length; ) {
    const c = expr[i]!;
    if (quote) {
      out += c;
      if (c === '\\' && quote !== '`') out += expr[++i] ?? '';
      else if (c === quote) quote = '';
      i++;
      continue;
    }
    if (c === '"' || c === "'" || c === '`') {
      quote = c;
      out += c;
      i++;
      continue;
    }
    if (c === '{') {
      const end = closing(expr, i);
      const inner = expr.slice(i + 1, end).trim().replace(/,\s*$/, '');
      out += `{${inner}${inner ? ', ' : ''}${extra}}`;
      i = end + 1;
      continue;
    }
    if (c === '[') {
      const end = expr.indexOf(']', i);
      out += expr.slice(i, end < 0 ? expr.length : end + 1);
      i = end < 0 ? expr.length : end + 1;
      continue;
    }
    const m = bare.exec(expr.slice(i));
    if (m && !/[\w.]/.test(out.slice(-1))) {
      const name = m[0];
      const next = expr.slice(i + name.length).trimStart()[0];
      out += name;
      i += name.length;
      if (/^(by|without|on|ignoring|group_left|group_right)$/i.test(name) && next === '(') {
        const end = expr.indexOf(')', i);
        out += expr.slice(i, end + 1);
        i = end + 1;
      } else if (next !== '(' && next !== '{' && !words.test(name) && !/^\s*(by|without)\b/i.test(expr.slice(i))) out += `{${extra}}`;
      continue;
    }
    out += c;
    i++;
  }
  return out;
}

function closing(s: string, open: number): number {
  let quote = '';
  for (let i = open + 1; i < s.length; i++) {
    const c = s[i]!;
    if (quote) {
      if (c === '\\' && quote !== '`') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') quote = c;
    else if (c === '}') return i;
  }
  return s.length;
}
