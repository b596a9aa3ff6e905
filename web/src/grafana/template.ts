/** Dashboard variables in text: `$name`, `${name:format}`, `[[name]]` and the built-in ones. */
import type { Range, RangeText } from '@/core/time/parse';
import { pattern } from './units';

/** The values of a variable. `all` is set when All is chosen without a value of its own. */
export interface Value {
  values: string[];
  text: string;
  multi: boolean;
}

export type Values = Record<string, Value>;

const regexChars = /[\\^$*+?.()|[\]{}/]/g;
const lucene = /([!*+\-=<>\s&|()[\]{}^~?:\\/"])/g;

const formats: Record<string, (v: Value, name: string, arg: string) => string> = {
  raw: (v) => v.values.join(','),
  csv: (v) => v.values.join(','),
  pipe: (v) => v.values.join('|'),
  regex: (v) => (v.values.length === 1 ? escape(v.values[0]!) : `(${v.values.map(escape).join('|')})`),
  glob: (v) => (v.values.length === 1 ? v.values[0]! : `{${v.values.join(',')}}`),
  json: (v) => JSON.stringify(v.values.length === 1 && !v.multi ? v.values[0] : v.values),
  text: (v) => v.text,
  singlequote: (v) => v.values.map((x) => `'${x.replaceAll("'", "\\'")}'`).join(','),
  doublequote: (v) => v.values.map((x) => `"${x.replaceAll('"', '\\"')}"`).join(','),
  sqlstring: (v) => v.values.map((x) => `'${x.replaceAll("'", "''")}'`).join(','),
  lucene: (v) => (v.values.length === 1 ? v.values[0]!.replace(lucene, '\\$1') : `(${v.values.map((x) => `"${x.replaceAll('"', '\\"')}"`).join(' OR ')})`),
  percentencode: (v) => encodeURIComponent(v.values.length === 1 ? v.values[0]! : `{${v.values.join(',')}}`),
  uriencode: (v) => encodeURI(v.values.join(',')),
  urlencode: (v) => encodeURIComponent(v.values.join(',')),
  queryparam: (v, name) => v.values.map((x) => `var-${encodeURIComponent(name)}=${encodeURIComponent(x)}`).join('&'),
  customqueryparam: (v, name, arg) => v.values.map((x) => `${arg.split(':')[0] || name}=${encodeURIComponent(x)}`).join('&'),
  distributed: (v, name) => v.values.map((x, i) => (i === 0 ? x : `${name}=${x}`)).join(','),
  join: (v, _name, arg) => v.values.join(arg || ','),
  date: (v, _name, arg) => {
    const ms = Number(v.values[0]);
    if (arg === 'seconds') return String(Math.floor(ms / 1000));
    if (arg === '' || arg === 'iso') return new Date(ms).toISOString();
    return pattern(ms, arg);
  },
};

const escape = (s: string) => s.replace(regexChars, '\\$&');

/** How values go into a query when no format is named: PromQL and LogQL take regular expressions with doubled backslashes. */
export type Fallback = 'query' | 'text' | 'raw';

function fallback(v: Value, how: Fallback): string {
  if (how === 'text') return v.text;
  if (how === 'raw' || !v.multi) return v.values.join(',');
  const doubled = v.values.map((x) => escape(x).replace(/\\/g, '\\\\'));
  return doubled.length === 1 ? doubled[0]! : `(${doubled.join('|')})`;
}

const reference = /\$\{(\w+)(?:\.([^:}]+))?(?::([^}]+))?\}|\[\[(\w+)(?::(\w+))?\]\]|\$(\w+)/g;

/** Replaces what is known and leaves the rest as it is. */
export function interpolate(text: string, values: Values, how: Fallback = 'query'): string {
  if (!text.includes('$') && !text.includes('[[')) return text;
  return text.replace(reference, (whole, a?: string, path?: string, fa?: string, b?: string, fb?: string, c?: string) => {
    const name = a ?? b ?? c ?? '';
    const v = path === undefined ? values[name] : values[`${name}.${path}`];
    if (!v) return whole;
    const spec = fa ?? fb;
    if (spec === undefined) return fallback(v, how);
    const [id = '', ...rest] = spec.split(':');
    const f = formats[id] ?? formats['glob']!;
    return f(v, name, rest.join(':'));
  });
}

/** All names that a text refers to. */
export function references(text: string): string[] {
  return [...text.matchAll(reference)].map((m) => m[1] ?? m[4] ?? m[6] ?? '');
}

const single = (value: string, text = value): Value => ({ values: [value], text, multi: false });

export interface Clock {
  range: Range;
  text: RangeText;
}

/** `now-1h` stays relative in links within the dashboard; only what is absolute is written as such. */
export function urlTimeRange(c: Clock): string {
  return `from=${encodeURIComponent(c.text.from)}&to=${encodeURIComponent(c.text.to)}`;
}

/** The built-in variables of a dashboard and its clock. */
export function builtins(dash: { uid: string; title: string }, c: Clock, own: Values): Values {
  const seconds = Math.max(1, Math.round((c.range.to - c.range.from) / 1000));
  return {
    __from: single(String(Math.round(c.range.from))),
    __to: single(String(Math.round(c.range.to))),
    __range: single(`${seconds}s`),
    __range_s: single(String(seconds)),
    __range_ms: single(String(seconds * 1000)),
    __fromTime: single(new Date(c.range.from).toISOString()),
    __toTime: single(new Date(c.range.to).toISOString()),
    __url_time_range: single(urlTimeRange(c)),
    __all_variables: single(allVariables(own)),
    __timezone: single(Intl.DateTimeFormat().resolvedOptions().timeZone),
    __dashboard: single(dash.title),
    '__dashboard.uid': single(dash.uid),
    __org: single('1'),
    '__org.name': single('default'),
    '__org.id': single('1'),
    __user: single('1'),
    '__user.login': single('user'),
    '__user.id': single('1'),
    timeFilter: single(''),
  };
}

export function allVariables(own: Values): string {
  return Object.entries(own)
    .filter(([name]) => !name.startsWith('__'))
    .map(([name, v]) => formats['queryparam']!(v, name, ''))
    .filter(Boolean)
    .join('&');
}

const roundSteps = [1, 5, 10, 15, 20, 30, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 6048e5, 2592e6, 31536e6];

/** A round interval in milliseconds that gives at most `points` points, not below `least`. */
export function intervalFor(range: Range, points: number, least: number): number {
  const want = Math.max((range.to - range.from) / Math.max(1, points), least);
  return Math.max(least, roundSteps.find((s) => s >= want) ?? want);
}

export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.max(1, Math.round(ms))}ms`;
  const s = Math.round(ms / 1000);
  if (s % 86400 === 0) return `${s / 86400}d`;
  if (s % 3600 === 0) return `${s / 3600}h`;
  if (s % 60 === 0) return `${s / 60}m`;
  return `${s}s`;
}

/** Scrapes are assumed to be this far apart when the dashboard does not say. */
export const scrapeInterval = 15_000;

/** The interval macros of one query. A rate needs four scrapes. */
export function intervals(intervalMs: number, minMs = scrapeInterval): Values {
  const rate = Math.max(intervalMs + minMs, 4 * minMs);
  const t = single(durationText(intervalMs));
  return {
    __interval: t,
    __interval_ms: single(String(intervalMs)),
    __rate_interval: single(durationText(rate)),
    __rate_interval_ms: single(String(rate)),
    __auto: t,
    __timeInterval: t,
  };
}
