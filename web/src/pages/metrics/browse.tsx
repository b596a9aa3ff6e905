/** What the metrics page shows before anything is asked: every metric as a small chart. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { queryRange } from '@/core/api/prometheus';
import { defaultQuery } from '@/core/metrics/promql';
import type { Metric } from '@/core/metrics/promql';
import { expandMacros, niceStep } from '@/core/time/range';
import { formatValue, guessUnit } from '@/core/units/units';
import { Icon } from '@/ui/icons';
import { Empty, ErrorBox, Loading, Spark } from '@/ui/kit';
import { align } from '@/viz/align';
import { useMetricList } from './search';

const most = 400;

const prefixOf = (name: string) => /^[a-zA-Z]+(?:[_.:])?/.exec(name)?.[0] ?? name;

/** The first words of the names, the most frequent first; those of a single metric are not worth a button. */
function prefixesOf(metrics: Metric[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const m of metrics) counts.set(prefixOf(m.name), (counts.get(prefixOf(m.name)) ?? 0) + 1);
  return [...counts].filter(([, n]) => n > 1).sort((a, b) => b[1] - a[1]).slice(0, 16);
}

/** `matchers` narrows to the metrics of one service, as links from traces and logs do. */
export function Browse({ onChoose, matchers, onClear }: { onChoose: (m: Metric) => void; matchers: string; onClear: () => void }): JSX.Element {
  const [filter, setFilter] = useState('');
  const { metrics, loading, error } = useMetricList(filter, most, true, matchers);
  const { zoomOut } = useTime();
  const [prefix, setPrefix] = useState('');
  const prefixes = useMemo(() => prefixesOf(metrics), [metrics]);
  const shown = prefix && prefixes.some(([p]) => p === prefix) ? metrics.filter((m) => prefixOf(m.name) === prefix) : metrics;
  if (error) return <ErrorBox error={error} />;
  if (loading) return <Loading what="metrics" />;
  if (metrics.length === 0 && !filter) {
    return (
      <Empty title={matchers ? `No metrics with ${matchers} in this time range` : 'No metrics in this time range'} action={<button type="button" className="btn" onClick={zoomOut}>Look further back</button>}>
        Nothing has been received for this window. Home shows how to send metrics.
      </Empty>
    );
  }
  return (
    <>
      <div className="row">
        <h2>{matchers ? 'Metrics' : 'All metrics'}</h2>
        <span className="muted num">{metrics.length >= most ? `first ${most}` : metrics.length}</span>
        {matchers && (
          <span className="chip">
            <b className="mono clip">{matchers}</b>
            <button type="button" aria-label="Show all metrics" onClick={onClear}>
              <Icon name="x" size={12} />
            </button>
          </span>
        )}
        <input className="input" style={{ width: 220, marginLeft: 'auto' }} placeholder="Filter" aria-label="Filter metrics" value={filter} onChange={(e) => setFilter(e.target.value)} />
      </div>
      {prefixes.length > 1 && (
        <div className="prefixes" role="group" aria-label="Metrics by prefix">
          {prefixes.map(([p, n]) => (
            <button key={p} type="button" className="chip" aria-pressed={p === prefix} onClick={() => setPrefix(p === prefix ? '' : p)}>
              <b className="mono">{p}</b>
              <span className="num">{n}</span>
            </button>
          ))}
        </div>
      )}
      <div className="cards" data-testid="metric-cards">
        {shown.map((m) => (
          <Card key={m.name} metric={m} matchers={matchers} onChoose={onChoose} />
        ))}
      </div>
    </>
  );
}

/** One metric as a small chart. */
export function Card({ metric, matchers, onChoose }: { metric: Metric; matchers: string; onChoose: (m: Metric) => void }): JSX.Element {
  const ref = useRef<HTMLButtonElement>(null);
  const [seen, setSeen] = useState(false);
  const { range } = useTime();
  useEffect(() => {
    const io = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && setSeen(true), { rootMargin: '200px' });
    io.observe(ref.current!);
    return () => io.disconnect();
  }, []);
  const step = niceStep(range, 60);
  const query = metric.type === 'gauge' || metric.type === 'unknown' ? `avg(${defaultQuery(metric, matchers)})` : defaultQuery(metric, matchers);
  const q = useQuery({
    queryKey: ['spark', query, range.from, range.to],
    queryFn: ({ signal }) => queryRange(expandMacros(query, range, step), range, step, 1, signal),
    enabled: seen,
    staleTime: 60_000,
    retry: false,
  });
  const s = q.data?.series[0];
  const values = useMemo(() => (s ? (align([s], range, step)[1]!.map((v) => v ?? NaN) as number[]) : []), [s, range, step]);
  const last = s ? s.values[s.values.length - 1] : undefined;
  return (
    <button type="button" ref={ref} className="card" title={metric.help} onClick={() => onChoose(metric)}>
      <span className="row">
        <span className="mono clip grow">{metric.name}</span>
        <span className="tag">{metric.type}</span>
      </span>
      <span className="spark">{values.length > 0 && <Spark values={values} height={40} label={`${metric.name} over time`} />}</span>
      <span className="row">
        <span className="clip faint grow">{metric.help || ' '}</span>
        <span className="num">{last === undefined ? '' : formatValue(last, guessUnit(query))}</span>
      </span>
    </button>
  );
}
