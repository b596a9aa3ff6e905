/** The answer of the metrics page: chart with legend, table, raw samples. */
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import { escapeString, labelNames } from '@/core/api/prometheus';
import type { Exemplar } from '@/core/api/prometheus';
import { around, logsForService, metricService, tracesForService } from '@/core/context/correlate';
import { breakDown } from '@/core/metrics/builder';
import { addMatcher, formatLabels, metricOf, selector } from '@/core/metrics/promql';
import { formatDuration, formatTime } from '@/core/time/range';
import { count, formatValue, guessUnit } from '@/core/units/units';
import { one } from '@/core/url/search';
import { Button, copyText, CostLine, Empty, ErrorBox, Loading, LoadingBar, Partial, Tabs } from '@/ui/kit';
import { TimeChart } from '@/viz/chart';
import type { ChartPoint } from '@/viz/chart';
import { PointMenu } from '@/viz/point-menu';
import type { MenuEntry } from '@/viz/point-menu';
import type { RowOptions } from './editors';
import { ExemplarPopover, PointPopover } from './exemplar';
import { Legend } from './legend';
import { seriesLimit, useChartSeries, useExemplars, useRows } from './use-metrics';
import type { RowResult } from './use-metrics';
import { Explain } from './explain';
import { LabelTable, Raw } from './views';

// Brings the code of dashboards along.
const AddPanel = lazy(() => import('./add-panel'));

type At = { x: number; y: number };

export function Results({ exprs, options, onExprs, onErrors }: { exprs: string[]; options: RowOptions; onExprs: (list: string[]) => void; onErrors: (list: unknown[]) => void }): JSX.Element {
  const { search, set } = useUrl();
  const time = useTime();
  const view = one(search['view']) ?? 'chart';
  const [drawAll, setDrawAll] = useState(false);
  const [exemplarsOn, setExemplarsOn] = useState(true);
  const [shown, setShown] = useState<ReadonlySet<string>>();
  const [picked, setPicked] = useState<{ e: Exemplar; at: At }>();
  const [point, setPoint] = useState<{ p: ChartPoint; at: At }>();
  const [menu, setMenu] = useState<{ p: ChartPoint; at: At }>();
  const [panelOf, setPanelOf] = useState<string>();
  const { rows, step } = useRows(exprs, time.range, drawAll ? undefined : seriesLimit, options.hidden, options.step);
  const base = useChartSeries(rows, options.legends);
  const exemplars = useExemplars(exprs.find((_, i) => !options.hidden.has(i)), time.range, exemplarsOn && view === 'chart');
  const unit = guessUnit(exprs[0] ?? '');
  const series = useMemo(() => base.map((s) => ({ ...s, hidden: Boolean(shown) && !shown!.has(s.key) })), [base, shown]);
  useEffect(() => setShown(undefined), [exprs]);
  const errors = rows.map((r) => r.error);
  useEffect(() => onErrors(errors), errors);

  const fetching = rows.some((r) => r.fetching);
  const pending = rows.every((r) => !r.data && !r.error) && options.hidden.size < exprs.length;
  const warnings = rows.flatMap((r) => r.data?.warnings ?? []);
  const cap = useCap(rows, drawAll);
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
  const top = () => onExprs(exprs.map((e) => (/^\s*topk\b/.test(e) ? e : `topk(20, ${e})`)));

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
          { id: 'explain', label: 'Explain' },
        ]}
        end={
          <>
            {rows.some((r) => r.data) && <CostLine cost={cost} parts={[`${count(base.length)} series`, samples > 0 && `${count(samples)} samples`, `step ${formatDuration(step * 1000)}`]} />}
            <Button small pressed={exemplarsOn} onClick={() => setExemplarsOn(!exemplarsOn)}>
              Exemplars{exemplars.length > 0 && exemplarsOn && base.length > 0 ? ` ${count(exemplars.length)}` : ''}
            </Button>
          </>
        }
      />
      <div className="result-body">
        {rows.map((r, i) => (r.error ? <ErrorBox key={i} error={r.error} query={r.expr} onRetry={time.refresh} /> : null))}
        <Partial warnings={[...new Set(warnings)].filter((w) => !cap || !/truncated due to limit/.test(w))} />
        {cap && (
          <Partial
            warnings={[cap]}
            action={
              <span className="row">
                <Button small onClick={top}>
                  Top 20
                </Button>
                <Button small onClick={() => setDrawAll(true)}>
                  Draw all
                </Button>
              </span>
            }
          />
        )}
        {view === 'explain' ? (
          <Explain exprs={exprs.filter((_, i) => !options.hidden.has(i))} step={step} />
        ) : pending ? (
          <Loading what="series" />
        ) : base.length === 0 && !rows.some((r) => r.error) ? (
          <Empty title={options.hidden.size >= exprs.length ? 'All queries are hidden' : 'No data points'} action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            The query is correct, but no series matched between {formatTime(time.range.from)} and {formatTime(time.range.to)}. <LastSeen expr={exprs[0] ?? ''} />
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
              onMenu={(p, at) => setMenu({ p, at })}
              {...(cap && rows.length === 1 && rows[0]!.data?.envelope ? { envelope: rows[0]!.data.envelope } : {})}
            />
            {point && <PointPopover point={point.p} at={point.at} unit={unit} service={metricService(point.p.series.labels)} via={via} onClose={() => setPoint(undefined)} />}
            {menu && <SeriesMenu {...menu} exprs={exprs} via={via} unit={unit} onExprs={onExprs} onPanel={setPanelOf} onIsolate={(key) => setShown(new Set([key]))} onClose={() => setMenu(undefined)} />}
            {picked && <ExemplarPopover exemplar={picked.e} at={picked.at} unit={/seconds/.test(exprs[0] ?? '') ? 's' : 'none'} via={via} onFilter={(label, value) => onExprs(exprs.map((e) => addMatcher(e, metricOf(e) ?? '', label, value)))} onClose={() => setPicked(undefined)} />}
            <Legend series={series} unit={unit} shown={shown} onToggle={toggle} via={via} />
          </div>
        )}
      </div>
      {panelOf !== undefined && (
        <Suspense fallback={null}>
          <AddPanel expr={panelOf} title={metricOf(panelOf) ?? 'New panel'} unit={guessUnit(panelOf)} onClose={() => setPanelOf(undefined)} />
        </Suspense>
      )}
    </section>
  );
}

/** What is said when not all series are drawn. */
function useCap(rows: RowResult[], drawAll: boolean): string | undefined {
  if (drawAll) return undefined;
  const full = rows.filter((r) => (r.data?.series.length ?? 0) >= seriesLimit || (r.data?.stats.seriesTotal ?? 0) > (r.data?.series.length ?? 0));
  if (full.length === 0) return undefined;
  const drawn = full.reduce((n, r) => n + r.data!.series.length, 0);
  const total = full.reduce((n, r) => n + (r.data!.stats.seriesTotal ?? 0), 0);
  return total > drawn ? `${count(drawn)} of ${count(total)} series are drawn${full.some((r) => r.data?.envelope) && rows.length === 1 ? '; the grey band is all of them' : ''}.` : `The first ${count(drawn)} series are drawn; there may be more.`;
}

/** When a metric without points in the window last had any. */
function LastSeen({ expr }: { expr: string }): JSX.Element | null {
  const metric = metricOf(expr);
  const { range } = useTime();
  const q = useQuery({
    queryKey: ['last-seen', metric, Math.floor(range.to / 60_000)],
    queryFn: async ({ signal }) => {
      const at = range.to / 1000;
      const res = await fetch(`/api/v1/query?${new URLSearchParams({ query: `max(timestamp(last_over_time(${selector(metric!)}[7d])))`, time: String(at) })}`, { signal });
      const body = (await res.json()) as { data?: { result?: { value: [number, string] }[] } };
      const v = body.data?.result?.[0]?.value[1];
      return v === undefined ? null : Number(v) * 1000;
    },
    enabled: metric !== undefined,
    retry: false,
    meta: { clock: false },
  });
  if (!metric || q.data === undefined) return null;
  return q.data === null ? <>{metric} had no samples in the seven days before.</> : <>{metric} last had a sample at {formatTime(q.data)}.</>;
}

interface SeriesMenuProps {
  p: ChartPoint;
  at: At;
  exprs: string[];
  unit: ReturnType<typeof guessUnit>;
  via: string;
  onExprs: (list: string[]) => void;
  onIsolate: (key: string) => void;
  onPanel: (expr: string) => void;
  onClose: () => void;
}

function SeriesMenu({ p, at, exprs, unit, via, onExprs, onIsolate, onPanel, onClose }: SeriesMenuProps): JSX.Element {
  const { go } = useUrl();
  const time = useTime();
  const row = /^\d+\{/.test(p.series.key) ? Number.parseInt(p.series.key, 10) : 0;
  const expr = exprs[row] ?? exprs[0] ?? '';
  const metric = metricOf(expr);
  const names = useQuery({
    queryKey: ['labels-of', metric, Math.floor(time.range.from / 60_000)],
    queryFn: ({ signal }) => labelNames(selector(metric!), time.range, signal),
    enabled: metric !== undefined,
    staleTime: 60_000,
    retry: false,
  });
  const service = metricService(p.series.labels);
  const window = around(p.time, p.time, 60_000);
  const put = (text: string) => onExprs(exprs.map((e, i) => (i === row ? text : e)));
  const labels = Object.entries(p.series.labels).filter(([k]) => k !== '__name__');
  const by = (names.data ?? []).filter((n) => n !== '__name__' && n !== 'le' && !(n in p.series.labels));
  const matched = (op: '=' | '!='): MenuEntry[] => labels.map(([k, v]) => ({ label: `${k}${op}"${v}"`, run: () => metric && put(addMatcher(expr, metric, k, v, op)) }));
  const groups: MenuEntry[][] = [
    [
      { label: 'Traces at this moment', icon: 'traces', run: () => go('/traces', { q: service ? tracesForService(service) : undefined, ...window, via }) },
      { label: 'Failed traces at this moment', icon: 'error', run: () => go('/traces', { q: service ? tracesForService(service, 'status = error') : '{ status = error }', ...window, via }) },
      { label: 'Logs at this moment', icon: 'logs', run: () => go('/logs', { q: service ? logsForService(service) : undefined, ...window, via }) },
    ],
    [
      { label: 'Break down by label', icon: 'columns', entries: by.map((l) => ({ label: l, run: () => put(breakDown(expr, l)) })) },
      ...(metric && labels.length > 0
        ? [
            { label: 'Filter to', icon: 'filter' as const, entries: matched('=') },
            { label: 'Filter out', icon: 'minus' as const, entries: matched('!=') },
          ]
        : []),
      { label: 'Only this series', icon: 'eye', run: () => onIsolate(p.series.key) },
    ],
    [
      { label: 'Zoom to 10 minutes around', icon: 'clock', run: () => time.zoomTo(p.time - 300_000, p.time + 300_000) },
      { label: 'Add to dashboard', icon: 'dashboards', run: () => onPanel(expr) },
      { label: 'Copy value', icon: 'copy', run: () => void copyText(String(p.value)) },
      { label: 'Copy query of this series', icon: 'copy', run: () => void copyText(metric ? labels.reduce((e, [k, v]) => addMatcher(e, metric, k, v), expr) : `${expr} # ${escapeString(formatLabels(p.series.labels))}`) },
    ],
  ];
  return <PointMenu at={at} title={`${p.series.name} · ${formatValue(p.value, unit)} · ${formatTime(p.time)}`} groups={groups} onClose={onClose} />;
}
