/** Numbers over lines: the result of a metric query, and the tab that makes one of a log query. */
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { metricOfLogs } from '@/core/logs/builder';
import { seriesNames } from '@/core/metrics/promql';
import { assign, labelKey } from '@/core/palette/palette';
import { count, formatValue, guessUnit } from '@/core/units/units';
import { Button, CostLine, Empty, ErrorBox, Loading, LoadingBar, Partial } from '@/ui/kit';
import { TimeChart } from '@/viz/chart';
import { Legend } from '../metrics/legend';
import { useLines } from './use-logs';
import type { LinesState } from './use-logs';

export function MetricView({ query, lines }: { query: string; lines: LinesState }): JSX.Element {
  const time = useTime();
  const [shown, setShown] = useState<ReadonlySet<string>>();
  const result = lines.result;
  const series = useMemo(() => {
    if (result?.kind !== 'metric') return [];
    const names = seriesNames(result.series.map((s) => s.labels));
    const keys = result.series.map((s) => labelKey(s.labels));
    const colors = assign(keys);
    return result.series.map((s, i) => ({ ...s, key: keys[i]!, name: names[i]!, color: colors[i]!, hidden: Boolean(shown) && !shown!.has(keys[i]!) }));
  }, [result, shown]);
  const unit = /bytes_rate/.test(query) ? ('Bps' as const) : /bytes_over_time/.test(query) ? ('bytes' as const) : guessUnit(query);
  return (
    <>
      <LoadingBar on={lines.fetching} />
      <div className="row toolbar">
        <span className="grow" />
        {result && <CostLine cost={result.cost} parts={[`${count(series.length)} series`, result.stats.bytes !== undefined && `${formatValue(result.stats.bytes, 'bytes')} scanned`]} />}
      </div>
      <div style={{ padding: 10, overflow: 'auto' }} className={lines.stale ? 'dim' : undefined}>
        {result && <Partial warnings={result.warnings} />}
        {!result ? (
          <Loading what="series" />
        ) : series.length === 0 ? (
          <Empty title="No data points" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            No line matched in this time range.
          </Empty>
        ) : (
          <>
            <TimeChart series={series} range={time.range} step={lines.step} unit={unit} height={320} label={`Chart of ${query}`} onZoom={time.zoomTo} onZoomOut={time.zoomOut} />
            <Legend series={series} unit={unit} shown={shown} onToggle={(key) => setShown((o) => (o?.has(key) ? undefined : new Set([key])))} via="logs" />
          </>
        )}
      </div>
    </>
  );
}

const functions: { fn: string; label: string }[] = [
  { fn: 'rate', label: 'lines per second' },
  { fn: 'count_over_time', label: 'lines' },
  { fn: 'bytes_rate', label: 'bytes per second' },
  { fn: 'bytes_over_time', label: 'bytes' },
];

/** `names` are the labels and fields to group by. */
export function MetricTab({ query, names, onQuery }: { query: string; names: string[]; onQuery: (q: string) => void }): JSX.Element {
  const time = useTime();
  const [fn, setFn] = useState('rate');
  const [by, setBy] = useState('detected_level');
  const metric = metricOfLogs(query, fn, by);
  const lines = useLines(metric, time.range, 100, true);
  return (
    <>
      <div className="row metricbar">
        <label className="row">
          <span className="muted">Show</span>
          <select className="select" aria-label="What to count" value={fn} onChange={(e) => setFn(e.target.value)}>
            {functions.map((f) => (
              <option key={f.fn} value={f.fn}>
                {f.label}
              </option>
            ))}
          </select>
        </label>
        <label className="row">
          <span className="muted">by</span>
          <select className="select" aria-label="Group by" value={by} onChange={(e) => setBy(e.target.value)}>
            <option value="">nothing</option>
            {[...new Set(['detected_level', ...names])].map((n) => (
              <option key={n}>{n}</option>
            ))}
          </select>
        </label>
        <Button small onClick={() => onQuery(metric.replace('\n', ' '))}>
          Edit as query
        </Button>
      </div>
      {lines.error ? (
        <div style={{ padding: 10 }}>
          <ErrorBox error={lines.error} query={metric} />
        </div>
      ) : (
        <MetricView query={metric} lines={lines} />
      )}
    </>
  );
}
