/** The query form of the logs page: selectors, line filters, a parser and field filters, in both directions. */
import { escapeString } from '../api/prometheus';

export interface Match {
  label: string;
  op: string;
  value: string;
}

export interface LogForm {
  matchers: Match[];
  lines: { op: string; text: string }[];
  parser: '' | 'json' | 'logfmt';
  fields: Match[];
}

export const selectorOps = ['=', '!=', '=~', '!~'];
export const fieldOps = ['=', '!=', '=~', '!~', '>', '>=', '<', '<='];
export const lineOps: { op: string; label: string }[] = [
  { op: '|=', label: 'contains' },
  { op: '!=', label: 'does not contain' },
  { op: '|~', label: 'matches' },
  { op: '!~', label: 'does not match' },
];

const text = '"((?:[^"\\\\]|\\\\.)*)"|`([^`]*)`';
const unquote = (quoted: string | undefined, raw: string | undefined) => (quoted !== undefined ? quoted.replace(/\\(["\\])/g, '$1') : (raw ?? ''));

/** Reads what the form can show; undefined for anything else, such as comments, other stages and numbers over lines. */
export function parseLogForm(query: string): LogForm | undefined {
  let rest = query.trim();
  const f: LogForm = { matchers: [], lines: [], parser: '', fields: [] };
  if (!rest.startsWith('{')) return undefined;
  rest = rest.slice(1).trimStart();
  const matcher = new RegExp(`^([a-zA-Z_][\\w.]*)\\s*(=~|!~|!=|=)\\s*(?:${text})\\s*,?\\s*`);
  while (!rest.startsWith('}')) {
    const m = matcher.exec(rest);
    if (!m) return undefined;
    f.matchers.push({ label: m[1]!, op: m[2]!, value: unquote(m[3], m[4]) });
    rest = rest.slice(m[0].length);
  }
  rest = rest.slice(1).trimStart();
  const line = new RegExp(`^(\\|=|\\|~|!=|!~)\\s*(?:${text})\\s*`);
  const parser = /^\|\s*(json|logfmt)\s*(?=\||!|$)/;
  const field = new RegExp(`^\\|\\s*([a-zA-Z_][\\w.]*)\\s*(=~|!~|!=|>=|<=|==|=|>|<)\\s*(?:${text}|([\\w.]+))\\s*(?=\\||!|$)`);
  while (rest !== '') {
    let m = line.exec(rest);
    if (m && !f.parser && f.fields.length === 0) {
      f.lines.push({ op: m[1]!, text: unquote(m[2], m[3]) });
    } else if ((m = parser.exec(rest)) && !f.parser && f.fields.length === 0) {
      f.parser = m[1] as 'json' | 'logfmt';
    } else if ((m = field.exec(rest))) {
      f.fields.push({ label: m[1]!, op: m[2] === '==' ? '=' : m[2]!, value: m[5] ?? unquote(m[3], m[4]) });
    } else return undefined;
    rest = rest.slice(m[0].length).trimStart();
  }
  return f;
}

const bare = /^\d+(\.\d+)?([a-zA-Zµ]+)?$/;

export function formatLogForm(f: LogForm): string {
  const matchers = f.matchers.filter((m) => m.label !== '').map((m) => `${m.label}${m.op}"${escapeString(m.value)}"`);
  let out = `{${matchers.join(', ')}}`;
  for (const l of f.lines) if (l.text !== '') out += ` ${l.op} "${escapeString(l.text)}"`;
  if (f.parser) out += ` | ${f.parser}`;
  for (const m of f.fields) {
    if (m.label === '') continue;
    const number = /[<>]/.test(m.op) && bare.test(m.value);
    out += ` | ${m.label}${number ? ` ${m.op} ${m.value}` : `${m.op}"${escapeString(m.value)}"`}`;
  }
  return out;
}

/** The query as a number over time. */
export function metricOfLogs(query: string, fn: string, by: string): string {
  const inner = `${fn}(${query.trim()}\n[$__interval])`;
  return by ? `sum by (${by}) (${inner})` : `sum(${inner})`;
}

/** Keeps or drops the lines of a pattern. */
export function withPattern(query: string, pattern: string, include: boolean): string {
  const stage = ` ${include ? '|>' : '!>'} "${escapeString(pattern)}"`;
  const end = query.indexOf('}');
  // Right behind the selector, where lines are cheapest to drop.
  return end === -1 ? `${query}${stage}` : `${query.slice(0, end + 1)}${stage}${query.slice(end + 1)}`;
}
