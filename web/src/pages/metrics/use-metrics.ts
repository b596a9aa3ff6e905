/** Running the rows of the metrics page. */
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useKept } from '@/app/keep';
import { queryCapped, queryExemplars, queryRange } from '@/core/api/prometheus';
import type { Exemplar, MatrixResult } from '@/core/api/prometheus';
import { metricService } from '@/core/context/correlate';
import { assign, labelKey, serviceColor } from '@/core/palette/palette';
import { legendText } from '@/core/metrics/builder';
import { exemplarSource, seriesNames } from '@/core/metrics/promql';
import type { Range } from '@/core/time/parse';
import { expandMacros, niceStep } from '@/core/time/range';
import type { ChartSeries } from '@/viz/chart';

export const seriesLimit = 200;

export interface RowResult {
  expr: string;
  data: MatrixResult | undefined;
  error: unknown;
  fetching: boolean;
  stale: boolean;
}

/** `hidden` rows are not asked; `fixedStep` in seconds replaces the step that suits the width. */
export function useRows(exprs: string[], range: Range, limit: number | undefined, hidden: ReadonlySet<number>, fixedStep?: number): { rows: RowResult[]; step: number } {
  const step = Math.max(fixedStep ?? 0, fixedStep ? (range.to - range.from) / 1000 / 11_000 : niceStep(range, 300));
  const results = useQueries({
    queries: exprs.map((expr, i) => ({
      queryKey: ['promql', expr, range.from, range.to, step, limit],
      queryFn: ({ signal }: { signal: AbortSignal }) => limit === undefined ? queryRange(expandMacros(expr, range, step), range, step, undefined, signal) : queryCapped(expandMacros(expr, range, step), range, step, limit, signal),
      enabled: expr.trim() !== '' && !hidden.has(i),
    })),
  });
  const kept = useKept(results, exprs);
  const rows = results.map((r, i) => ({ expr: exprs[i]!, data: r.error || hidden.has(i) ? undefined : kept[i]!.data, error: hidden.has(i) ? undefined : r.error, fetching: r.isFetching, stale: kept[i]!.stale }));
  return { rows, step };
}

const serviceLabels = new Set(['job', 'service_name', 'service']);

/** Series that are services have the colours that services have everywhere. */
function colorsOf(labels: Record<string, string>[], keys: string[]): number[] {
  const services = labels.length > 0 && labels.every((l) => Object.keys(l).length === 1 && Object.keys(l).every((k) => serviceLabels.has(k)));
  return services && new Set(keys).size === new Set(labels.map(labelKey)).size ? labels.map((l) => serviceColor(metricService(l)!)) : assign(keys);
}

/** All rows as one list of chart series with names and colours. */
export function useChartSeries(rows: RowResult[], legends: string[]): ChartSeries[] {
  const key: unknown[] = [...rows.map((r) => r.data), legends.join('\n')];
  return useMemo(() => {
    const flat: { row: number; labels: Record<string, string>; times: Float64Array; values: Float64Array }[] = [];
    rows.forEach((r, row) => r.data?.series.forEach((s) => flat.push({ row, labels: s.labels, times: s.times, values: s.values })));
    const names = seriesNames(flat.map((f) => f.labels));
    const used = rows.filter((r) => r.data && r.data.series.length > 0).length;
    const keys = flat.map((f) => `${rows.length > 1 ? f.row : ''}{${labelKey(f.labels)}}`);
    const colors = colorsOf(flat.map((f) => f.labels), keys);
    return flat.map((f, i) => ({
      key: keys[i]!,
      name: legends[f.row] ? legendText(legends[f.row]!, f.labels) || names[i]! : used > 1 ? `${String.fromCharCode(65 + f.row)} ${names[i]}` : names[i]!,
      labels: f.labels,
      color: colors[i]!,
      times: f.times,
      values: f.values,
    }));
    // The results decide; the array around them is new on every render.
  }, key);
}

export function useExemplars(expr: string | undefined, range: Range, on: boolean): Exemplar[] {
  const step = niceStep(range, 300);
  const q = useQuery({
    queryKey: ['exemplars', expr, range.from, range.to],
    queryFn: ({ signal }) => queryExemplars(exemplarSource(expandMacros(expr!, range, step)), range, signal),
    enabled: on && Boolean(expr?.trim()),
    placeholderData: keepPreviousData,
    retry: false,
  });
  return useMemo(() => (on && q.data ? q.data : []), [on, q.data]);
}
