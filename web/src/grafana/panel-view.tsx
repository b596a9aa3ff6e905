/** A panel: asks for its data once it is seen, and draws it. What cannot be drawn as meant gets a chip; nothing is blank. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Component, lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import type { JSX, ReactNode } from 'react';
import type { Range } from '@/core/time/parse';
import { ErrorBox, LoadingBar, Tip } from '@/ui/kit';
import { Icon } from '@/ui/icons';
import { applyConfig } from './display';
import { rowsOf } from './frames';
import type { Frame } from './frames';
import { flat } from './layout';
import { str } from './model';
import type { Dashboard, Panel } from './model';
import { panelLinks } from './panels/context';
import type { Mark, PanelProps } from './panels/context';
import { Logs } from './panels/logs';
import { Anchor, hasNumbers } from './panels/parts';
import { BarChart, Histogram, Pie, StateTimeline } from './panels/shapes';
import { BarGauge, Gauge, Stat } from './panels/stat';
import { Table } from './panels/table';
import { Text } from './panels/text';
import { panelRange, runPanel } from './query';
import type { PanelData } from './query';
import { problems } from './support';
import { interpolate } from './template';
import type { Values } from './template';
import { transform } from './transforms';
import type { Filter } from './variables';

const Timeseries = lazy(() => import('./panels/timeseries'));
const Heatmap = lazy(() => import('./panels/heatmap'));
const NodeGraph = lazy(() => import('./panels/lists'));
const AlertList = lazy(() => import('./panels/lists').then((m) => ({ default: m.AlertList })));
const DashList = lazy(() => import('./panels/lists').then((m) => ({ default: m.DashList })));

export interface PanelViewProps {
  dashboard: Dashboard;
  panel: Panel;
  values: Values;
  filters: Filter[];
  range: Range;
  marks: Mark[];
  onZoom: (from: number, to: number) => void;
  onZoomOut: () => void;
  /** Told what the panel shows. */
  onFrames?: (frames: Frame[], answered: Frame[]) => void;
  menu?: (data: PanelData | undefined, frames: Frame[]) => ReactNode;
  /** Set while the panel is edited: its queries run at once. */
  eager?: boolean;
  handle?: ReactNode;
  dragProps?: React.HTMLAttributes<HTMLElement>;
}

/** Panels without queries of their own. */
const still = new Set(['text', 'dashlist', 'alertlist', 'row', 'news']);

export function PanelView(props: PanelViewProps): JSX.Element {
  const { dashboard, panel, values, filters, range } = props;
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [seen, setSeen] = useState(props.eager ?? false);

  useEffect(() => {
    const io = new IntersectionObserver(([e]) => setSeen(e!.isIntersecting || Boolean(props.eager)), { rootMargin: '240px' });
    io.observe(box.current!);
    const ro = new ResizeObserver(([e]) => {
      const { width, height } = e!.contentRect;
      setSize((s) => (Math.abs(s.width - width) < 1 && Math.abs(s.height - height) < 1 ? s : { width: Math.floor(width), height: Math.floor(height) }));
    });
    ro.observe(body.current!);
    return () => {
      io.disconnect();
      ro.disconnect();
    };
  }, [props.eager]);

  const own = useMemo(() => panelRange(panel, range), [panel, range]);
  // Points are asked for in steps of width, so that a few pixels do not ask again.
  const width = Math.max(200, Math.ceil(size.width / 200) * 200);
  const asks = !still.has(panel.type) && panel.targets.length > 0;
  const q = useQuery({
    queryKey: ['panel', dashboard.uid, panel.id, panel.raw['targets'], panel.type, panel.interval, panel.maxDataPoints, panel.timeFrom, panel.timeShift, scopeKey(panel, values), filters, range, width],
    queryFn: ({ signal }) => runPanel({ panel, range, values, variables: dashboard.variables, filters, width, panelById: (id) => flat(dashboard.panels).find((p) => p.id === id) }, signal),
    enabled: asks && seen && size.width > 0,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const data = q.data;
  const frames = useMemo(() => (data ? applyConfig(panel, transform(data.frames, panel.transformations, (s) => interpolate(s, values, 'text')), (s) => interpolate(s, values, 'text')) : []), [data, panel, values]);
  const { onFrames } = props;
  useEffect(() => onFrames?.(frames, data?.frames ?? []), [frames, data, onFrames]);
  const marks = useMemo(() => props.marks.filter((m) => !m.only || m.only.ids.includes(panel.id) !== m.only.exclude), [props.marks, panel.id]);
  const chips = useMemo(() => [...new Set([...problems(panel, dashboard), ...(data?.unsupported ?? [])])], [panel, dashboard, data]);
  const title = interpolate(panel.title, values, 'text');
  const errors = [...(data?.errors ?? []), ...(q.error ? [{ refId: '', message: q.error instanceof Error ? q.error.message : String(q.error) }] : [])];
  const empty = asks && frames.every((f) => rowsOf(f) === 0);
  const state = asks && !data ? (q.error ? 'error' : 'loading') : errors.length > 0 && empty ? 'error' : asks && empty ? 'empty' : 'data';
  const links = panelLinks(panel, values);

  return (
    <section ref={box} className={`g-panel${panel.transparent ? ' bare' : ''}`} aria-label={title || panel.type} data-testid="panel" data-type={panel.type} data-state={state} data-panel={panel.id}>
      <header className="g-head" {...props.dragProps}>
        <h3 className="clip" title={title}>
          {title}
        </h3>
        {panel.description && (
          <Tip text={interpolate(panel.description, values, 'text')}>
            <button type="button" className="g-info" aria-label="Description">
              <Icon name="info" size={13} />
            </button>
          </Tip>
        )}
        {(panel.timeFrom || panel.timeShift) && panel.raw['hideTimeOverride'] !== true && <span className="chip">{[panel.timeFrom && `last ${panel.timeFrom.replace(/^now-/, '')}`, panel.timeShift && `${panel.timeShift} earlier`].filter(Boolean).join(', ')}</span>}
        {links.slice(0, 3).map((l) => (
          <Anchor key={l.url + l.title} link={l} className="g-headlink">
            {l.title}
          </Anchor>
        ))}
        <span className="grow" />
        {chips.length > 0 && (
          <Tip text={`Not drawn as in Grafana: ${chips.join(', ')}`}>
            <button type="button" className="chip g-chip" data-testid="unsupported">
              unsupported: {chips[0]}
              {chips.length > 1 ? ` +${chips.length - 1}` : ''}
            </button>
          </Tip>
        )}
        {(data?.warnings.length ?? 0) > 0 && (
          <Tip text={data!.warnings.join(' · ')}>
            <button type="button" className="g-info warn" aria-label="Warnings">
              <Icon name="warn" size={13} />
            </button>
          </Tip>
        )}
        {errors.length > 0 && !empty && (
          <Tip text={errors.map((e) => `${e.refId}: ${e.message}`).join(' · ')}>
            <button type="button" className="g-info bad" aria-label="Errors">
              <Icon name="error" size={13} />
            </button>
          </Tip>
        )}
        {props.menu?.(data, frames)}
      </header>
      <LoadingBar on={q.isFetching} />
      <div ref={body} className={`g-body${q.isPlaceholderData ? ' stale' : ''}`}>
        {state === 'error' ? (
          <div className="g-scroll">
            <ErrorBox error={new Error(errors.map((e) => (e.refId ? `${e.refId}: ${e.message}` : e.message)).join('\n'))} onRetry={() => void q.refetch()} />
          </div>
        ) : state === 'loading' ? (
          <div className="g-empty">Loading…</div>
        ) : state === 'empty' ? (
          <Nothing panel={panel} chips={chips} noValue={panel.defaults.noValue} />
        ) : (
          size.width > 0 && (
            <Guard key={`${panel.type}`}>
              <Suspense fallback={<div className="g-empty">Loading…</div>}>
                <Body panel={panel} frames={frames} range={own} width={size.width} height={size.height} values={values} sync={dashboard.sharedCursor ? dashboard.uid || 'dashboard' : undefined} marks={marks} onZoom={props.onZoom} onZoomOut={props.onZoomOut} />
              </Suspense>
            </Guard>
          )
        )}
      </div>
      {props.handle}
    </section>
  );
}

/** Only the variables that the panel's queries use make it ask again. */
function scopeKey(p: Panel, values: Values): unknown {
  const text = JSON.stringify([p.raw['targets'], p.interval, p.raw['datasource'], p.timeFrom]);
  return Object.entries(values).filter(([k]) => !k.startsWith('__') && text.includes(k)).map(([k, v]) => [k, v.values]);
}

function Nothing({ panel, chips, noValue }: { panel: Panel; chips: string[]; noValue: string | undefined }): JSX.Element {
  const query = panel.targets.find((t) => !t.hide);
  const text = query ? (str(query.raw['expr']) ?? str(query.raw['query']) ?? str(query.raw['rawSql']) ?? '') : '';
  return (
    <div className="g-empty">
      <span>{chips.length > 0 ? `Nothing to ask: ${chips[0]} is not supported` : (noValue ?? 'No data in this time range')}</span>
      {text && <code className="clip">{text}</code>}
    </div>
  );
}

const panels: Record<string, (p: PanelProps) => JSX.Element> = {
  timeseries: (p) => <Timeseries {...p} />,
  stat: (p) => <Stat {...p} />,
  gauge: (p) => <Gauge {...p} />,
  bargauge: (p) => <BarGauge {...p} />,
  table: (p) => <Table {...p} />,
  text: (p) => <Text {...p} />,
  logs: (p) => <Logs {...p} />,
  heatmap: (p) => <Heatmap {...p} />,
  'state-timeline': (p) => <StateTimeline {...p} />,
  'status-history': (p) => <StateTimeline {...p} />,
  piechart: (p) => <Pie {...p} />,
  barchart: (p) => <BarChart {...p} />,
  histogram: (p) => <Histogram {...p} />,
  nodeGraph: (p) => <NodeGraph {...p} />,
  traces: (p) => <Table {...p} />,
  alertlist: (p) => <AlertList {...p} />,
  dashlist: (p) => <DashList {...p} />,
};

/** The component for a type; for a type that is not known, the one that suits the data. */
export function Body(p: PanelProps): JSX.Element {
  const known = panels[p.panel.type];
  if (known) {
    // A log query in a chart, or text in a stat: show what there is.
    if (p.panel.type === 'timeseries' && p.frames.some((f) => f.entries)) return <Logs {...p} />;
    if (p.panel.type === 'logs' && !p.frames.some((f) => f.entries)) return hasNumbers(p.frames) ? <Timeseries {...p} /> : <Table {...p} />;
    if (p.panel.type === 'timeseries' && !p.frames.some((f) => f.fields.some((c) => c.type === 'time') && f.fields.some((c) => c.type === 'number'))) return <Table {...p} />;
    return known(p);
  }
  if (p.panel.targets.length === 0) return <Raw panel={p.panel} />;
  if (p.frames.some((f) => f.entries)) return <Logs {...p} />;
  return p.frames.some((f) => f.kind === 'series' && rowsOf(f) > 1) ? <Timeseries {...p} /> : <Table {...p} />;
}

function Raw({ panel }: { panel: Panel }): JSX.Element {
  return (
    <div className="g-empty">
      <span>A panel of type “{panel.type || 'unknown'}” is not drawn here.</span>
      <code className="clip">{JSON.stringify(panel.options).slice(0, 400)}</code>
    </div>
  );
}

/** A bug in one panel is that panel's. */
class Guard extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};
  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }
  override render(): ReactNode {
    return this.state.error ? (
      <div className="g-scroll">
        <ErrorBox error={new Error(`This panel cannot be drawn: ${this.state.error.message}`)} onRetry={() => this.setState({} as { error?: Error })} />
      </div>
    ) : (
      this.props.children
    );
  }
}
