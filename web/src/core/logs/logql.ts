/** Small edits of LogQL text: adding filters, wrapping a log query for the volume chart. */
import { escapeString } from '../api/prometheus';
import type { Field } from './rows';

/** Position of the brace that closes the first selector, or -1. */
export function selectorEnd(query: string): number {
  let quote = '';
  let open = false;
  for (let i = 0; i < query.length; i++) {
    const c = query[i]!;
    if (quote) {
      if (c === '\\' && quote === '"') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === '`') quote = c;
    else if (c === '#') {
      const nl = query.indexOf('\n', i);
      if (nl === -1) return -1;
      i = nl;
    } else if (c === '{') open = true;
    else if (c === '}' && open) return i;
  }
  return -1;
}

/** True when the text starts with a selector, so that it asks for lines and not for numbers. */
export function isLogQuery(query: string): boolean {
  return query.replace(/^(\s|#.*\n)+/, '').startsWith('{');
}

/** The selector of a query, `{…}`, or undefined. */
export function selectorOf(query: string): string | undefined {
  const end = selectorEnd(query);
  const start = query.indexOf('{');
  return end > start && start >= 0 ? query.slice(start, end + 1) : undefined;
}

/** Adds a filter on a field, in the selector for stream labels and as a stage for all others. */
export function addFilter(query: string, kind: Field['kind'], name: string, value: string, include: boolean): string {
  const op = include ? '=' : '!=';
  const matcher = `${name}${op}"${escapeString(value)}"`;
  if (kind !== 'stream') return `${query.trimEnd()} | ${matcher}`;
  const end = selectorEnd(query);
  if (end === -1) return `{${matcher}}`;
  const head = query.slice(0, end).trimEnd();
  return `${head}${head.endsWith('{') || head.endsWith(',') ? '' : ', '}${matcher}${query.slice(end)}`;
}

/** Adds a line filter. */
export function addLineFilter(query: string, text: string): string {
  return `${query.trimEnd()} |= "${escapeString(text)}"`;
}

/** The query whose result is the number of lines by level. */
export function volumeQuery(query: string, stepSeconds: number): string {
  // A new line ends a trailing comment.
  return `sum by (detected_level) (count_over_time(${query.trim()}\n[${stepSeconds}s]))`;
}

/**
 * The companion of a query for the lines of a trace: lines that only mention its id in their text, as programs write
 * that log without OpenTelemetry. Undefined for every other query.
 */
export function mentionQuery(query: string): string | undefined {
  const m = /^\s*(\{[^{}]*\})\s*\|\s*trace_id="([0-9a-f]{16,32})"(?:\s*\|\s*span_id="([0-9a-f]{16})")?\s*$/.exec(query);
  return m ? `${m[1]} |= "${m[2]}"${m[3] ? ` |= "${m[3]}"` : ''}` : undefined;
}
