/** Metrics: find, ask, see, follow. */
import './metrics.css';
import { useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import type { Exemplar } from '@/core/api/prometheus';
import { addMatcher, defaultQuery, formatLabels, metricOf } from '@/core/metrics/promql';
import type { Metric } from '@/core/metrics/promql';
import { formatDuration, formatTime } from '@/core/time/range';
import { count, formatValue, guessUnit } from '@/core/units/units';
import { all, one } from '@/core/url/search';
import { QueryEditor } from '@/query/editor';
import { Button, CostLine, Empty, ErrorBox, IconButton, Loading, LoadingBar, Partial, Tabs } from '@/ui/kit';
import { metricService } from '@/core/context/correlate';
import { TimeChart } from '@/viz/chart';
import type { ChartPoint } from '@/viz/chart';
import { statsOf } from '@/viz/align';
import { Browse } from './browse';
import { ExemplarPopover, PointPopover } from './exemplar';
import { LabelChips } from './filters';
import { Legend } from './legend';
import { MetricSearch, useMetricList } from './search';
import { seriesLimit, useChartSeries, useExemplars, useRows } from './use-metrics';

const letter = (i: number) => String.fromCharCode(65 + i);

export default function MetricsPage(): JSX.Element {
  const { search, set } = useUrl();
  const { refresh } = useTime();
  const run = useMemo(() => all(search['q']).filter((q) => q.trim() !== ''), [search['q']]);
  const [drafts, setDrafts] = useState<string[]>(run.length > 0 ? run : ['']);
  useEffect(() => setDrafts(run.length > 0 ? run : ['']), [run]);
  useNamedMetric(one(search['m']));

  const match = one(search['match']) ?? '';

  const commit = (list: string[]) => {
    const next = list.filter((q) => q.trim() !== '');
    if (next.length === run.length && next.every((q, i) => q === run[i])) refresh();
    else set({ q: next, m: undefined });
  };
  const replace = (i: number, text: string) => drafts.map((d, k) => (k === i ? text : d));
  const choose = (m: Metric) => {
    const list = drafts.length === 1 || drafts[drafts.length - 1] === '' ? replace(drafts.length - 1, defaultQuery(m, match)) : [...drafts, defaultQuery(m, match)];
    setDrafts(list);
    commit(list);
  };
  const metric = metricOf(run[0] ?? '');
  return (
    <div className="page">
      <div className="row">
        <MetricSearch onChoose={choose} />
        {metric && (
          <LabelChips
            metric={metric}
            onPick={(label, value) => {
              const list = drafts.map((d) => addMatcher(d, metric, label, value));
              setDrafts(list);
              commit(list);
            }}
          />
        )}
      </div>
      <Editors drafts={drafts} setDrafts={setDrafts} commit={commit} />
      {run.length === 0 ? <Browse onChoose={choose} matchers={match} onClear={() => set({ match: undefined })} /> : <Results exprs={run} />}
    </div>
  );
}

/** `?m=name` is a metric by name, as the palette links it: it becomes a query as soon as its type is known. */
function useNamedMetric(name: string | undefined): void {
  const { set } = useUrl();
  const { metrics, loading } = useMetricList(name ?? '', 50, Boolean(name));
  useEffect(() => {
    if (!name || loading) return;
    const base = name.replace(/_(bucket|count|sum)$/, '');
    const m = metrics.find((x) => x.name === name) ?? metrics.find((x) => x.name === base) ?? { name, type: 'unknown' as const, unit: '', help: '' };
    set({ q: defaultQuery(m), m: undefined }, true);
  }, [name, loading, metrics, set]);
}

function Editors({ drafts, setDrafts, commit }: { drafts: string[]; setDrafts: (d: string[]) => void; commit: (d: string[]) => void }): JSX.Element {
  const { range } = useTime();
  return (
    <div className="editors">
      {drafts.map((d, i) => (
        <div className="row" key={i}>
          {drafts.length > 1 && <span className="rowletter">{letter(i)}</span>}
          <QueryEditor
            language="promql"
            label={`PromQL query ${letter(i)}`}
            hint="PromQL, for example sum by (job) (rate(http_server_request_duration_seconds_count[$__rate_interval]))"
            value={d}
            range={range}
            onChange={(v) => setDrafts(drafts.map((x, k) => (k === i ? v : x)))}
            onRun={(v) => commit(drafts.map((x, k) => (k === i ? v : x)))}
          />
          {drafts.length > 1 && <IconButton icon="x" kind="quiet" label={`Remove query ${letter(i)}`} onClick={() => commit(drafts.filter((_, k) => k !== i))} />}
          {i === 0 && (
            <Button kind="primary" icon="play" onClick={() => commit(drafts)} data-testid="run">
              Run
            </Button>
          )}
          {i === 0 && <IconButton icon="plus" label="Add a query" onClick={() => setDrafts([...drafts, ''])} />}
        </div>
      ))}
    </div>
  );
}

function Results({ exprs }: { exprs: string[] }): JSX.Element {
  const { search, set } = useUrl();
  const time = useTime();
  const view = one(search['view']) ?? 'chart';
  const [drawAll, setDrawAll] = useState(false);
  const [exemplarsOn, setExemplarsOn] = useState(true);
  const [shown, setShown] = useState<ReadonlySet<string>>();
  const [picked, setPicked] = useState<{ e: Exemplar; at: { x: number; y: number } }>();
  const [point, setPoint] = useState<{ p: ChartPoint; at: { x: number; y: number } }>();
  const { rows, step } = useRows(exprs, time.range, drawAll ? undefined : seriesLimit);
  const base = useChartSeries(rows);
  const exemplars = useExemplars(exprs[0], time.range, exemplarsOn && view === 'chart');
  const unit = guessUnit(exprs[0] ?? '');
  const series = useMemo(() => base.map((s) => ({ ...s, hidden: Boolean(shown) && !shown!.has(s.key) })), [base, shown]);
  useEffect(() => setShown(undefined), [exprs]);

  const fetching = rows.some((r) => r.fetching);
  const pending = rows.every((r) => !r.data && !r.error);
  const warnings = rows.flatMap((r) => r.data?.warnings ?? []);
  const capped = rows.some((r) => (r.data?.series.length ?? 0) >= seriesLimit) && !drawAll;
  if (capped) warnings.unshift(`The first ${seriesLimit} series are drawn`);
  const samples = rows.reduce((n, r) => n + (r.data?.stats.samples ?? 0), 0);
  const cost = rows.reduce((a, r) => (r.data ? { ms: Math.max(a.ms, r.data.cost.ms), bytes: a.bytes + r.data.cost.bytes } : a), { ms: 0, bytes: 0 });
  const via = metricOf(exprs[0] ?? '') ?? 'metrics';

  const toggle = (key: string, add: boolean) => {
    setShown((old) => {
      if (!add) return old?.size === 1 && old.has(key) ? undefined : new Set([key]);
      const next = new Set(old ?? []);
      if (!next.delete(key)) next.add(key);
      return next.size === 0 ? undefined : next;
    });
  };

  return (
    <section className="panel" aria-label="Result">
      <LoadingBar on={fetching} />
      <Tabs
        label="View"
        value={view}
        onChange={(v) => set({ view: v === 'chart' ? undefined : v }, true)}
        tabs={[
          { id: 'chart', label: 'Chart' },
          { id: 'table', label: 'Table' },
          { id: 'raw', label: 'Raw' },
        ]}
        end={
          <>
            {rows.some((r) => r.data) && <CostLine cost={cost} parts={[`${count(base.length)} series`, samples > 0 && `${count(samples)} samples`, `step ${formatDuration(step * 1000)}`]} />}
            <Button small pressed={exemplarsOn} onClick={() => setExemplarsOn(!exemplarsOn)}>
              Exemplars{exemplars.length > 0 && exemplarsOn && base.length > 0 ? ` ${exemplars.length}` : ''}
            </Button>
          </>
        }
      />
      <div className="result-body">
        {rows.map((r, i) => (r.error ? <ErrorBox key={i} error={r.error} query={r.expr} onRetry={time.refresh} /> : null))}
        <Partial warnings={[...new Set(warnings)]} action={capped ? <Button small onClick={() => setDrawAll(true)}>Draw all</Button> : undefined} />
        {pending ? (
          <Loading what="series" />
        ) : base.length === 0 && !rows.some((r) => r.error) ? (
          <Empty title="No data points" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            The query is correct, but no series matched between {formatTime(time.range.from)} and {formatTime(time.range.to)}.
          </Empty>
        ) : base.length === 0 ? null : view === 'table' ? (
          <LabelTable series={series} unit={unit} />
        ) : view === 'raw' ? (
          <Raw series={series} />
        ) : (
          <div className={rows.some((r) => r.stale) ? 'dim' : undefined} style={{ position: 'relative' }}>
            <TimeChart
              series={series}
              range={time.range}
              step={step}
              unit={unit}
              height={320}
              label={`Chart of ${exprs.join(' and ')}`}
              exemplars={exemplars}
              onZoom={time.zoomTo}
              onZoomOut={time.zoomOut}
              onExemplar={(e, at) => setPicked({ e, at })}
              onPoint={(p, at) => setPoint({ p, at })}
            />
            {point && <PointPopover point={point.p} at={point.at} unit={unit} service={metricService(point.p.series.labels)} via={via} onClose={() => setPoint(undefined)} />}
            {picked && <ExemplarPopover exemplar={picked.e} at={picked.at} unit={/seconds/.test(exprs[0] ?? '') ? 's' : 'none'} via={via} onClose={() => setPicked(undefined)} />}
            <Legend series={series} unit={unit} shown={shown} onToggle={toggle} via={via} />
          </div>
        )}
      </div>
    </section>
  );
}

function LabelTable({ series, unit }: { series: ReturnType<typeof useChartSeries>; unit: ReturnType<typeof guessUnit> }): JSX.Element {
  const names = [...new Set(series.flatMap((s) => Object.keys(s.labels)))].filter((n) => n !== '__name__').sort();
  return (
    <div style={{ overflow: 'auto', maxHeight: 520 }} tabIndex={0} role="region" aria-label="Latest values">
      <table className="table">
        <thead>
          <tr>
            {names.map((n) => (
              <th key={n}>{n}</th>
            ))}
            <th className="r">Last value</th>
          </tr>
        </thead>
        <tbody>
          {series.map((s) => (
            <tr key={s.key}>
              {names.map((n) => (
                <td key={n} className="mono">
                  {s.labels[n] ?? ''}
                </td>
              ))}
              <td className="r">{formatValue(statsOf(s.values).last, unit)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Raw({ series }: { series: ReturnType<typeof useChartSeries> }): JSX.Element {
  const lines: string[] = [];
  for (const s of series) {
    if (lines.length > 2000) break;
    lines.push(formatLabels(s.labels));
    for (let i = Math.max(0, s.times.length - 20); i < s.times.length; i++) lines.push(`  ${formatTime(s.times[i]! * 1000)}  ${s.values[i]}`);
  }
  return (
    <pre className="raw" tabIndex={0} role="region" aria-label="Raw samples">
      {lines.join('\n')}
    </pre>
  );
}
