/** Keeping the last answer of each of several queries while the next is on its way, as useQuery does for one. */
import { useRef } from 'react';

interface Result<T> {
  data: T | undefined;
  error: unknown;
}

export interface Kept<T> {
  data: T | undefined;
  /** True while `data` is an older answer. */
  stale: boolean;
}

/** `ids` say which query is which, whatever its time range. */
export function useKept<T>(results: Result<T>[], ids: string[]): Kept<T>[] {
  const last = useRef(new Map<string, T>());
  const next = new Map<string, T>();
  const out = results.map((r, i) => {
    const id = ids[i]!;
    const data = r.data ?? (r.error ? undefined : last.current.get(id));
    if (data !== undefined) next.set(id, data);
    return { data, stale: r.data === undefined && data !== undefined };
  });
  last.current = next;
  return out;
}
