/** The search form of the traces page: TraceQL filters it understands, in both directions. */
import { escapeString } from '../api/prometheus';

export interface Form {
  service: string;
  name: string;
  status: string;
  minDuration: string;
  maxDuration: string;
  /** Conditions the form has no field for; they are kept as they are. */
  rest: string[];
}

export const emptyForm: Form = { service: '', name: '', status: '', minDuration: '', maxDuration: '', rest: [] };

/** Splits on && outside strings and parentheses; undefined when the text is not a plain list of conditions. */
function conditions(inner: string): string[] | undefined {
  const out: string[] = [];
  let depth = 0;
  let quote = '';
  let from = 0;
  for (let i = 0; i < inner.length; i++) {
    const c = inner[i]!;
    if (quote) {
      if (c === '\\' && quote === '"') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === '`') quote = c;
    else if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (c === '{' || c === '}') return undefined;
    else if (depth === 0 && inner.startsWith('||', i)) return undefined;
    else if (depth === 0 && inner.startsWith('&&', i)) {
      out.push(inner.slice(from, i));
      from = i + 2;
      i++;
    }
  }
  out.push(inner.slice(from));
  return out.map((s) => s.trim()).filter(Boolean);
}

const unquote = (s: string) => s.replace(/\\(["\\])/g, '$1');

/** Reads one `{ … }` into the form; undefined when the query is more than that. */
export function parseForm(query: string): Form | undefined {
  const m = /^\s*\{([\s\S]*)\}\s*$/.exec(query);
  if (!m) return undefined;
  const parts = conditions(m[1]!);
  if (!parts) return undefined;
  const f: Form = { ...emptyForm, rest: [] };
  for (const p of parts) {
    const service = /^(?:resource)?\.service\.name\s*=\s*"((?:[^"\\]|\\.)*)"$/.exec(p);
    const name = /^(?:span:)?name\s*=\s*"((?:[^"\\]|\\.)*)"$/.exec(p);
    const status = /^(?:span:)?status\s*=\s*(error|ok|unset)$/.exec(p);
    const min = /^duration\s*>=?\s*([\d.]+\w+)$/.exec(p);
    const max = /^duration\s*<=?\s*([\d.]+\w+)$/.exec(p);
    if (service && !f.service) f.service = unquote(service[1]!);
    else if (name && !f.name) f.name = unquote(name[1]!);
    else if (status && !f.status) f.status = status[1]!;
    else if (min && !f.minDuration) f.minDuration = min[1]!;
    else if (max && !f.maxDuration) f.maxDuration = max[1]!;
    else f.rest.push(p);
  }
  return f;
}

export function formatForm(f: Form): string {
  const parts: string[] = [];
  if (f.service) parts.push(`resource.service.name = "${escapeString(f.service)}"`);
  if (f.name) parts.push(`name = "${escapeString(f.name)}"`);
  if (f.status) parts.push(`status = ${f.status}`);
  if (f.minDuration) parts.push(`duration >= ${f.minDuration}`);
  if (f.maxDuration) parts.push(`duration <= ${f.maxDuration}`);
  parts.push(...f.rest);
  return parts.length > 0 ? `{ ${parts.join(' && ')} }` : '{}';
}

/** Narrows a query to traces whose duration lies between two values in milliseconds. */
export function withTraceDuration(query: string, minMs: number, maxMs: number): string {
  const f = parseForm(query);
  const cond = [`traceDuration >= ${durationText(minMs)}`, `traceDuration <= ${durationText(maxMs)}`];
  if (!f) return query;
  return formatForm({ ...f, rest: [...f.rest.filter((r) => !/^traceDuration\b/.test(r)), ...cond] });
}

/** Adds the condition of another `{ … }` to a query; undefined when one of them is more than a filter. */
export function withCondition(query: string, filter: string): string | undefined {
  const f = parseForm(query);
  const inner = /^\s*\{([\s\S]*)\}\s*$/.exec(filter)?.[1]?.trim();
  if (!f || !inner) return undefined;
  return formatForm({ ...f, rest: f.rest.includes(inner) ? f.rest : [...f.rest, inner] });
}

/** A TraceQL duration literal. */
export function durationText(ms: number): string {
  if (ms < 1) return `${Math.max(1, Math.round(ms * 1000))}us`;
  if (ms < 10_000) return `${Math.round(ms)}ms`;
  return `${Math.round(ms / 1000)}s`;
}

/** True for what TraceQL reads as a duration. */
export function isDuration(text: string): boolean {
  return /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text);
}
