/** How one line is written. */
import type { JSX } from 'react';

const maxShown = 4096;

/** A line for reading: of a JSON object, the message first and the rest as dim pairs. */
export function Line({ text }: { text: string }): JSX.Element {
  const shown = text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
  if (shown.startsWith('{') && shown.length === text.length) {
    const parts = readable(shown);
    if (parts) {
      return (
        <>
          {parts.message}
          {parts.pairs.map(([k, v]) => (
            <span key={k} className="pair">
              {' '}
              {k}=<b>{v}</b>
            </span>
          ))}
        </>
      );
    }
  }
  return <>{shown}</>;
}

const messageKeys = ['msg', 'message', 'body', 'event'];
const hiddenKeys = new Set(['level', 'severity', 'lvl', 'time', 'ts', 'timestamp', 'trace_id', 'span_id', 'traceId', 'spanId', ...messageKeys]);

function readable(text: string): { message: string; pairs: [string, string][] } | undefined {
  let o: unknown;
  try {
    o = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof o !== 'object' || o === null || Array.isArray(o)) return undefined;
  const rec = o as Record<string, unknown>;
  const key = messageKeys.find((k) => typeof rec[k] === 'string');
  if (!key) return undefined;
  const pairs: [string, string][] = [];
  for (const [k, v] of Object.entries(rec)) if (!hiddenKeys.has(k)) pairs.push([k, typeof v === 'string' ? v : JSON.stringify(v)]);
  return { message: rec[key] as string, pairs };
}
