/** Rate, errors and durations by service or operation, from the server metrics of OpenTelemetry. */
import { useQueries } from '@tanstack/react-query';
import { useMemo } from 'react';
import { queryExemplars, queryRange } from '@/core/api/prometheus';
import type { Exemplar, Series } from '@/core/api/prometheus';
import type { Range } from '@/core/time/parse';
import type { GoldenQuery } from '@/core/metrics/golden';
import { useKept } from './keep';
import { expandMacros, niceStep } from '@/core/time/range';
import { align } from '@/viz/align';

export interface Golden {
  name: string;
  /** Requests per second on the time grid, NaN where there is nothing. */
  rate: Float64Array;
  /** Share of requests that failed, between 0 and 1. */
  errors: Float64Array;
  p50: Float64Array;
  p95: Float64Array;
  p99: Float64Array;
}

export interface GoldenState {
  rows: Golden[];
  /** Seconds of the grid points. */
  times: Float64Array;
  step: number;
  exemplars: Exemplar[];
  pending: boolean;
  fetching: boolean;
  error: unknown;
}

/** `by` is the label of the result that names a row. */
export function useGolden(range: Range, query: GoldenQuery, by: string, points = 120): GoldenState {
  const step = niceStep(range, points);
  const exprs = [query.rate, query.errors, query.p50, query.p95, query.p99];
  const results = useQueries({
    queries: exprs.map((expr) => ({
      queryKey: ['golden', expr, range.from, range.to, step],
      queryFn: ({ signal }: { signal: AbortSignal }) => queryRange(expandMacros(expr, range, step), range, step, 500, signal),
      retry: false,
    })),
  });
  const [exemplars] = useQueries({
    queries: [
      {
        queryKey: ['golden-exemplars', query.exemplars, range.from, range.to],
        queryFn: ({ signal }: { signal: AbortSignal }) => queryExemplars(query.exemplars, range, signal),
        retry: false,
      },
    ],
  });
  const data = useKept(results, exprs).map((k) => k.data);
  const [seen] = useKept(exemplars ? [exemplars] : [], [query.exemplars]);
  const rows = useMemo(() => combine(data.map((d) => d?.series ?? []), by, range, step), data);
  return {
    rows: rows.rows,
    times: rows.times,
    step,
    exemplars: seen?.data ?? [],
    pending: results.some((r, i) => r.isPending && data[i] === undefined),
    fetching: results.some((r) => r.isFetching),
    error: results.find((r) => r.error)?.error,
  };
}

function combine(lists: Series[][], by: string, range: Range, step: number): { rows: Golden[]; times: Float64Array } {
  const times = Float64Array.from(align([], range, step)[0] as number[]);
  const grids = lists.map((list) => {
    const cols = align(list, range, step);
    return new Map(list.map((s, i) => [s.labels[by] ?? '', Float64Array.from(cols[i + 1]!, (v) => v ?? NaN)]));
  });
  const empty = new Float64Array(times.length).fill(NaN);
  const rows = [...(grids[0]?.entries() ?? [])]
    .filter(([name]) => name !== '')
    .map(([name, rate]): Golden => {
      const failed = grids[1]!.get(name);
      return {
        name,
        rate,
        errors: rate.map((r, i) => (Number.isNaN(r) ? NaN : r === 0 ? 0 : (failed && !Number.isNaN(failed[i]!) ? failed[i]! : 0) / r)),
        p50: grids[2]!.get(name) ?? empty,
        p95: grids[3]!.get(name) ?? empty,
        p99: grids[4]!.get(name) ?? empty,
      };
    });
  return { rows, times };
}

/** The newest number of a column, or undefined. */
export function latest(values: Float64Array): number | undefined {
  for (let i = values.length - 1; i >= 0; i--) if (Number.isFinite(values[i]!)) return values[i];
  return undefined;
}
