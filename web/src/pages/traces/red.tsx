/** Rate, errors and durations of what the search matches: three small charts; a click goes to that moment. */
import { useQueries } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { CSSProperties, JSX } from 'react';
import { useKept } from '@/app/keep';
import { useTime } from '@/app/time';
import { traceMetrics } from '@/core/api/tempo';
import type { TraceSeries } from '@/core/api/tempo';
import { niceStep } from '@/core/time/range';
import type { Unit } from '@/core/units/units';
import { TimeChart } from '@/viz/chart';
import type { ChartSeries } from '@/viz/chart';

const charts: { key: string; title: string; unit: Unit }[] = [
  { key: 'rate', title: 'Rate', unit: 'perSecond' },
  { key: 'errors', title: 'Errors', unit: 'ratio' },
  { key: 'duration', title: 'Duration', unit: 's' },
];

/** `base` is a plain `{ … }` filter. */
export function RedStrip({ base }: { base: string }): JSX.Element | null {
  const time = useTime();
  const step = niceStep(time.range, 60, 5);
  const queries = [`${base} | rate() by (status)`, `${base} | quantile_over_time(duration, .5, .95, .99)`];
  const results = useQueries({
    queries: queries.map((q) => ({
      queryKey: ['red', q, time.range.from, time.range.to, step],
      queryFn: ({ signal }: { signal: AbortSignal }) => traceMetrics(q, time.range, step, signal),
      retry: false,
    })),
  });
  const [rates, quantiles] = useKept(results, queries).map((k) => k.data);
  const series = useMemo(() => redSeries(rates?.series ?? [], quantiles?.series ?? []), [rates, quantiles]);
  // The search itself says what is wrong with it.
  if (results.every((r) => r.error)) return null;
  return (
    <section className="panel redstrip" aria-label="Rate, errors and duration" data-testid="red">
      {charts.map((c) => (
        <div key={c.key}>
          <h2>
            {c.title}
            {c.key === 'duration' &&
              (series['duration'] ?? []).map((s) => (
                <span key={s.key} className="redkey" style={{ '--c': `var(--s${s.color})` } as CSSProperties}>
                  {s.name}
                </span>
              ))}
          </h2>
          <TimeChart series={series[c.key] ?? []} range={time.range} step={step} unit={c.unit} height={92} label={`${c.title} of the matching spans`} sync="red" onZoom={time.zoomTo} onZoomOut={time.zoomOut} onPoint={(p) => time.zoomTo(p.time - step * 2000, p.time + step * 1000)} />
        </div>
      ))}
    </section>
  );
}

const line = (key: string, color: number, times: Float64Array, values: Float64Array): ChartSeries => ({ key, name: key, labels: {}, color, times, values });

/** All spans and the share that failed, from the rates by status; the quantiles as they are. */
export function redSeries(byStatus: TraceSeries[], quantiles: TraceSeries[]): Record<string, ChartSeries[]> {
  const total = new Map<number, number>();
  const failed = new Map<number, number>();
  for (const s of byStatus) {
    s.times.forEach((t, i) => {
      total.set(t, (total.get(t) ?? 0) + s.values[i]!);
      if (s.labels['status'] === 'error') failed.set(t, (failed.get(t) ?? 0) + s.values[i]!);
    });
  }
  const times = Float64Array.from([...total.keys()].sort((a, b) => a - b));
  const sum = times.map((t) => total.get(t)!);
  return {
    rate: times.length > 0 ? [line('spans', 0, times, sum)] : [],
    errors: times.length > 0 ? [line('failed', 7, times, times.map((t, i) => (sum[i]! > 0 ? (failed.get(t) ?? 0) / sum[i]! : NaN)))] : [],
    duration: [...quantiles]
      .sort((a, b) => Number(a.labels['p']) - Number(b.labels['p']))
      .map((s, i) => line(`p${Math.round(Number(s.labels['p']) * 1000) / 10}`, [2, 1, 4][i % 3]!, s.times, s.values.map((v) => (v > 0 ? v : NaN)))),
  };
}
