/** One way to call the server: JSON in, typed errors with a position out, and what it cost. */

export interface Position {
  line: number;
  col: number;
}

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly position?: Position,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** What a request cost, as far as it can be told from here. */
export interface Cost {
  ms: number;
  bytes: number;
}

export interface Reply<T> {
  body: T;
  cost: Cost;
}

/** Finds `1:5: parse error` (PromQL) or `parse error at line 1, col 5` (LogQL, TraceQL) in a message. */
export function positionOf(message: string): Position | undefined {
  const a = /\bline (\d+), col (\d+)/.exec(message);
  if (a) return { line: Math.max(1, Number(a[1])), col: Number(a[2]) };
  const b = /(?:^|[\s"])(\d+):(\d+): /.exec(message);
  if (b) return { line: Number(b[1]), col: Number(b[2]) };
  return undefined;
}

function messageOf(text: string, status: number): string {
  try {
    const body = JSON.parse(text) as { error?: string; message?: string; errors?: string[] };
    const m = body.error ?? body.message ?? body.errors?.[0];
    if (m) return m;
  } catch {
    // Loki and Tempo answer errors as plain text.
  }
  const trimmed = text.trim();
  if (trimmed && !trimmed.startsWith('<')) return trimmed.slice(0, 2000);
  return status === 502 || status === 504 ? 'The server did not answer.' : `The server answered with status ${status}.`;
}

export type Params = Record<string, string | number | string[] | undefined>;

/** Builds `path?query`, leaving out undefined values. */
export function withParams(path: string, params: Params = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) {
    if (v === undefined || v === '') continue;
    if (Array.isArray(v)) for (const x of v) q.append(k, x);
    else q.append(k, String(v));
  }
  const s = q.toString();
  return s ? `${path}?${s}` : path;
}

/** Fetches JSON. Long queries are sent as a form, so that they fit any URL limit. */
export async function getJSON<T>(path: string, params: Params, signal?: AbortSignal, headers?: Record<string, string>): Promise<Reply<T>> {
  const started = performance.now();
  const url = withParams(path, params);
  const init: RequestInit = { headers: { Accept: 'application/json', ...headers } };
  if (signal) init.signal = signal;
  let res: Response;
  try {
    res =
      url.length > 4000 && !path.startsWith('/api/search') && !path.startsWith('/api/v2')
        ? await fetch(path, { ...init, method: 'POST', body: new URLSearchParams(url.slice(path.length + 1)) })
        : await fetch(url, init);
  } catch (err) {
    if (err instanceof DOMException && err.name === 'AbortError') throw err;
    throw new ApiError('The server cannot be reached.', 0);
  }
  const text = await res.text();
  if (!res.ok) {
    const message = messageOf(text, res.status);
    throw new ApiError(message, res.status, positionOf(message));
  }
  let body: T;
  try {
    body = JSON.parse(text) as T;
  } catch {
    throw new ApiError(`The server's answer to ${path} is not JSON.`, res.status);
  }
  return { body, cost: { ms: performance.now() - started, bytes: text.length } };
}
