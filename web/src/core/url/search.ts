/** The query string as flat, readable text: no JSON, repeated keys become lists. */

export type Search = Record<string, string | string[] | undefined>;

export function parseSearch(text: string): Search {
  const out: Search = {};
  for (const [k, v] of new URLSearchParams(text)) {
    const old = out[k];
    if (old === undefined) out[k] = v;
    else out[k] = Array.isArray(old) ? [...old, v] : [old, v];
  }
  return out;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(search)) {
    if (v === undefined || v === null || v === '') continue;
    if (Array.isArray(v)) for (const x of v) q.append(k, String(x));
    else q.append(k, String(v));
  }
  // These are legal in a query string and much easier to read unescaped.
  const s = q.toString().replace(/%3A/g, ':').replace(/%2F/g, '/').replace(/%2C/g, ',');
  return s ? `?${s}` : '';
}

/** One value of a parameter. */
export function one(v: unknown): string | undefined {
  const x: unknown = Array.isArray(v) ? v[0] : v;
  return typeof x === 'string' && x !== '' ? x : undefined;
}

/** All values of a parameter. */
export function all(v: unknown): string[] {
  if (Array.isArray(v)) return v.filter((x): x is string => typeof x === 'string');
  return typeof v === 'string' ? [v] : [];
}
