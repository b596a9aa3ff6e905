/** The time series panel. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import '@/viz/chart.css';
import { Popover as RPopover } from 'radix-ui';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX, KeyboardEvent } from 'react';
import { GoLink } from '@/app/url';
import { useTheme, token } from '@/app/theme';
import { useZone } from '@/app/zone';
import { formatTime } from '@/core/time/range';
import { around, metricService, logsForService, tracesForService } from '@/core/context/correlate';
import { lonely, stepCursor, timeTicks, Tip, zonedDate, zoomOnSelect } from '@/viz/plot';
import type { TipRow } from '@/viz/plot';
import { cssColor } from '../color';
import { isNull, reduce, reducerNames, timeField } from '../frames';
import { arr, num, obj, str } from '../model';
import { show, shownText } from '../display';
import { unitText } from '../units';
import { fieldLinks } from './context';
import type { Mark, PanelProps } from './context';
import { paint } from './paint';
import { columns, dashOf, linesOf, scaleRange, stacked } from './series';
import type { Line } from './series';
import { LinkItem } from './parts';

export default function Timeseries(props: PanelProps): JSX.Element {
  const { panel, frames, width, height } = props;
  const lines = useMemo(() => linesOf(frames), [frames]);
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());
  const legend = obj(panel.options['legend']);
  const shown = legend['showLegend'] !== false && legend['displayMode'] !== 'hidden' && lines.length > 0;
  const table = legend['displayMode'] === 'table';
  const right = legend['placement'] === 'right' && width > 420;
  const legendLines = lines.filter((l) => l.inLegend);
  const legendHeight = !shown || right ? 0 : table ? Math.min(Math.floor(height * 0.42), 24 + legendLines.length * 22) : Math.min(Math.floor(height * 0.3), Math.max(20, Math.ceil(legendLines.reduce((n, l) => n + Math.min(30, l.name.length) * 5.3 + 26, 0) / Math.max(1, width)) * 20));
  const legendWidth = shown && right ? Math.min(Math.max(width * 0.34, 160), num(legend['width']) ?? 420) : 0;
  const visible = useMemo(() => lines.map((l) => ({ ...l, hidden: l.hidden || off.has(l.key) })), [lines, off]);

  const toggle = (l: Line, add: boolean) => {
    setOff((old) => {
      if (add) {
        const next = new Set(old);
        if (!next.delete(l.key)) next.add(l.key);
        return next;
      }
      const others = lines.filter((x) => x.key !== l.key).map((x) => x.key);
      return others.length > 0 && others.every((k) => old.has(k)) && !old.has(l.key) ? new Set() : new Set(others);
    });
  };

  return (
    <div className={`g-time${right ? ' right' : ''}`}>
      <Plot {...props} lines={visible} width={Math.max(60, width - legendWidth)} height={Math.max(40, height - legendHeight)} />
      {shown && <Legend lines={legendLines} off={off} options={legend} table={table} style={right ? { width: legendWidth, height } : { height: legendHeight }} onToggle={toggle} />}
    </div>
  );
}

interface Live {
  props: PanelProps & { lines: Line[] };
  cols: (number | null | undefined)[][];
  tip?: Tip<Row>;
  open?: (p: Picked) => void;
}

interface Picked {
  line: Line;
  time: number;
  index: number;
  x: number;
  y: number;
}

function Plot(props: PanelProps & { lines: Line[] }): JSX.Element {
  const { lines, width, height, range, marks } = props;
  const theme = useTheme();
  const zone = useZone();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const live = useRef<Live>({ props, cols: [] });
  const [picked, setPicked] = useState<Picked>();
  const [spoken, setSpoken] = useState('');
  const raw = useMemo(() => columns(lines), [lines]);
  const stack = useMemo(() => stacked(lines, raw.cols), [lines, raw]);
  live.current.props = props;
  live.current.cols = raw.cols;
  live.current.open = setPicked;

  useEffect(() => {
    const el = host.current!;
    const data = [raw.times, ...stack.cols] as uPlot.AlignedData;
    const u = new uPlot(optionsFor(live.current, stack.bands), data, el);
    plot.current = u;
    return () => {
      u.destroy();
      plot.current = undefined;
    };
    // Everything that is drawn is rebuilt together; size alone is set below.
  }, [lines, stack, raw, theme, zone, range.from, range.to, marks]);

  useEffect(() => {
    const u = plot.current;
    if (u && (u.width !== width || u.height !== height)) u.setSize({ width, height });
  }, [width, height]);

  const onKey = (e: KeyboardEvent) => {
    const u = plot.current;
    const idx = u && stepCursor(u, e.key);
    if (!u || idx === undefined) return;
    e.preventDefault();
    const parts = lines.map((l, i) => ({ l, v: raw.cols[i]![idx] })).filter((p) => !isNull(p.v)).slice(0, 5);
    setSpoken(`${formatTime(u.data[0][idx]! * 1000)}: ${parts.map(({ l, v }) => `${l.name} ${valueText(l, v)}`).join(', ') || 'no data'}`);
  };

  return (
    <div className="chart" style={{ width, height }}>
      <div ref={host} tabIndex={0} role="group" aria-label={`${props.panel.title || 'Chart'}. Arrow keys move the cursor.`} onKeyDown={onKey} onDoubleClick={props.onZoomOut} data-testid="chart" />
      <div className="sr" aria-live="polite">
        {spoken}
      </div>
      {picked && <PointMenu {...props} picked={picked} onClose={() => setPicked(undefined)} />}
    </div>
  );
}

const valueText = (l: Line, v: number | null | undefined): string => shownText(show(l.field.config, isNull(v) ? null : l.custom['transform'] === 'negative-Y' ? -v! : v));

function optionsFor(live: Live, bands: [number, number][]): uPlot.Options {
  const p = live.props;
  const scales: Record<string, uPlot.Scale> = { x: { time: true, range: () => [live.props.range.from / 1000, live.props.range.to / 1000] } };
  const axes: uPlot.Axis[] = [{ stroke: token('--muted'), font: `11px ${token('--font')}`, grid: { stroke: token('--line'), width: 1 }, ticks: { show: false }, size: 24, space: 70, values: timeTicks }];
  const groups = new Map<string, Line[]>();
  for (const l of p.lines) groups.set(l.scale, [...(groups.get(l.scale) ?? []), l]);
  let first = true;
  // The first scale that may be anywhere is on the left, unless one asks for that side.
  let left = [...groups.values()].some((g) => g[0]!.custom['axisPlacement'] === 'left');
  for (const [key, lines] of groups) {
    const c = lines[0]!.custom;
    const dist = obj(c['scaleDistribution']);
    const log = dist['type'] === 'log';
    scales[key] = { ...(log ? { distr: 3, log: num(dist['log']) === 10 ? 10 : 2 } : {}), range: (_u, min, max) => scaleRange(lines.some((l) => !l.hidden) ? lines.filter((l) => !l.hidden) : lines, min, max, log) };
    if (c['axisPlacement'] === 'hidden') continue;
    const right = c['axisPlacement'] !== 'left' && (lines[0]!.right || left);
    left ||= !right;
    axes.push(axis(key, lines, right, first));
    first = false;
  }
  return {
    width: p.width,
    height: p.height,
    legend: { show: false },
    tzDate: zonedDate,
    padding: [8, 12, 0, 0],
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7, width: 2 }, y: false, focus: { prox: 24 }, ...(p.sync ? { sync: { key: p.sync, setSeries: false } } : {}) },
    focus: { alpha: 1 },
    scales,
    axes,
    series: [{}, ...p.lines.map(seriesOptions)],
    bands: [...bands.map(([a, b]) => ({ series: [a + 1, b + 1] as [number, number], fill: paint(p.lines[a]!.color, fillOf(p.lines[a]!)) })), ...belowBands(p.lines)],
    hooks: {
      init: [(u) => attach(u, live)],
      drawAxes: [(u) => drawThresholds(u, p.lines)],
      draw: [(u) => drawMarks(u, p.marks)],
      setCursor: [(u) => showTip(u, live)],
      setSelect: [zoomOnSelect(() => live.props.onZoom)],
    },
  };
}

function axis(scale: string, lines: Line[], right: boolean, grid: boolean): uPlot.Axis {
  const f = lines[0]!.field.config;
  const label = str(lines[0]!.custom['axisLabel']);
  const percent = lines.every((l) => l.percent);
  const text = (v: number) => (percent ? `${Math.round(v * 100)}%` : unitText(lines.every((l) => l.custom['transform'] === 'negative-Y') ? -v : v, f.unit, undefined));
  return {
    scale,
    side: right ? 1 : 3,
    stroke: token('--muted'),
    font: `11px ${token('--font')}`,
    grid: { show: grid, stroke: token('--line'), width: 1 },
    ticks: { show: false },
    gap: 4,
    space: 28,
    // Sizes in powers of two are read in such steps.
    ...(/^(bytes|bits|kbytes|mbytes|gbytes|tbytes|bin[Bb]ps|KiBs|MiBs)$/.test(f.unit ?? '') ? { incrs: binarySteps } : {}),
    size: (_u, values) => Math.max(34, ...(values ?? []).map((v) => (v ?? '').length * 6.3 + 12)),
    values: (_u, splits) => splits.map((v) => (v === null || v === undefined ? '' : text(v))),
    ...(label ? { label, labelSize: 18, labelFont: `11px ${token('--font')}`, labelGap: 0 } : {}),
  };
}

const binarySteps = Array.from({ length: 60 }, (_, i) => 2 ** i);

const fillOf = (l: Line): number => Math.min(1, (num(l.custom['fillOpacity']) ?? 0) / 100) * (l.custom['gradientMode'] === 'opacity' ? 0.6 : 1);

function seriesOptions(l: Line): uPlot.Series {
  const c = l.custom;
  const stroke = paint(l.color);
  const style = str(c['drawStyle']) ?? 'line';
  const width = num(c['lineWidth']) ?? 1;
  const dash = dashOf(c);
  const points = style === 'points' || c['showPoints'] === 'always';
  const interpolation = c['lineInterpolation'];
  const paths = style === 'bars' ? uPlot.paths.bars!({ size: [num(c['barWidthFactor']) ?? 0.7, 60], align: num(c['barAlignment']) === 1 ? 1 : num(c['barAlignment']) === -1 ? -1 : 0 }) : style === 'points' ? () => null : interpolation === 'stepAfter' ? uPlot.paths.stepped!({ align: 1 }) : interpolation === 'stepBefore' ? uPlot.paths.stepped!({ align: -1 }) : interpolation === 'smooth' ? uPlot.paths.spline!() : undefined;
  return {
    label: l.name,
    scale: l.scale,
    stroke,
    show: !l.hidden,
    width: style === 'points' ? 0 : Math.max(width, width > 0 ? 1.25 : 0),
    spanGaps: c['spanNulls'] === true || typeof c['spanNulls'] === 'number',
    points: { show: points ? true : (u: uPlot, si: number, i0: number, i1: number) => lonely(u, si, i0, i1), size: points ? Math.max(3, num(c['pointSize']) ?? 5) : 4, fill: stroke, stroke },
    ...(fillOf(l) > 0 ? { fill: paint(l.color, style === 'bars' ? Math.max(fillOf(l), 0.6) : fillOf(l)) } : {}),
    ...(dash ? { dash } : {}),
    ...(paths ? { paths } : {}),
  } as uPlot.Series;
}

/** `fillBelowTo` shades between two lines. */
function belowBands(lines: Line[]): uPlot.Band[] {
  return lines.flatMap((l, i) => {
    const other = str(l.custom['fillBelowTo']);
    const j = other ? lines.findIndex((x) => x.name === other) : -1;
    return j >= 0 ? [{ series: [i + 1, j + 1] as [number, number], fill: paint(l.color, Math.max(0.12, fillOf(l))) }] : [];
  });
}

function drawThresholds(u: uPlot, lines: Line[]): void {
  const seen = new Set<string>();
  for (const l of lines) {
    const mode = str(obj(l.custom['thresholdsStyle'])['mode']) ?? 'off';
    const steps = l.field.config.thresholds;
    if (mode === 'off' || !steps || seen.has(l.scale) || l.hidden) continue;
    seen.add(l.scale);
    const scale = u.scales[l.scale]!;
    const value = (v: number) => (steps.mode === 'percentage' ? (scale.min ?? 0) + ((v / 100) * ((scale.max ?? 1) - (scale.min ?? 0))) : v);
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    steps.steps.forEach((s, i) => {
      if (s.color === 'transparent') return;
      const lo = Number.isFinite(s.value) ? value(s.value) : (scale.min ?? 0);
      const hi = steps.steps[i + 1] ? value(steps.steps[i + 1]!.value) : (scale.max ?? 1);
      const y = (v: number) => Math.max(bbox.top, Math.min(bbox.top + bbox.height, u.valToPos(v, l.scale, true)));
      if (mode.includes('area')) {
        ctx.fillStyle = paint(cssColor(s.color), 0.1);
        ctx.fillRect(bbox.left, y(hi), bbox.width, y(lo) - y(hi));
      }
      if (mode !== 'area' && Number.isFinite(s.value)) {
        ctx.strokeStyle = paint(cssColor(s.color), 0.9);
        ctx.lineWidth = devicePixelRatio * 1.5;
        if (mode.startsWith('dashed')) ctx.setLineDash([8 * devicePixelRatio, 6 * devicePixelRatio]);
        ctx.beginPath();
        const at = u.valToPos(lo, l.scale, true);
        ctx.moveTo(bbox.left, at);
        ctx.lineTo(bbox.left + bbox.width, at);
        ctx.stroke();
      }
    });
    ctx.restore();
  }
}

/** A mark is a triangle below the plot with a line above it, fainter where there are many. */
function drawMarks(u: uPlot, marks: Mark[]): void {
  const { ctx, bbox } = u;
  const px = devicePixelRatio;
  const bottom = bbox.top + bbox.height;
  ctx.save();
  ctx.lineWidth = px;
  for (const m of marks) {
    const x = u.valToPos(m.time / 1000, 'x', true);
    const color = cssColor(m.color);
    if (m.end !== undefined) {
      const from = Math.max(bbox.left, x);
      const to = Math.min(bbox.left + bbox.width, u.valToPos(m.end / 1000, 'x', true));
      ctx.fillStyle = paint(color, 0.1);
      if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = paint(color, marks.length > 40 ? 0.25 : 0.7);
    ctx.setLineDash([4 * px, 3 * px]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
    ctx.fillStyle = paint(color, 1);
    ctx.beginPath();
    ctx.moveTo(x, bottom - 1 * px);
    ctx.lineTo(x - 4 * px, bottom + 6 * px);
    ctx.lineTo(x + 4 * px, bottom + 6 * px);
    ctx.fill();
  }
  ctx.restore();
}

function attach(u: uPlot, live: Live): void {
  live.tip = new Tip<Row>(u, {
    rows: () => rowsAt(u, live),
    onClick: ({ line }) => {
      const time = u.data[0][u.cursor.idx!]! * 1000;
      const index = Math.max(0, (timeField(line.frame)?.values ?? []).indexOf(time));
      live.open?.({ line, time, index, x: (u.cursor.left ?? 0) + u.over.offsetLeft, y: (u.cursor.top ?? 0) + u.over.offsetTop });
    },
  });
}

interface Row extends TipRow {
  line: Line;
}

function rowsAt(u: uPlot, live: Live): Row[] {
  const { top, idx } = u.cursor;
  if (idx === null || idx === undefined) return [];
  const rows: Row[] = [];
  live.props.lines.forEach((line, i) => {
    const v = live.cols[i]?.[idx];
    const drawn = u.data[i + 1]?.[idx];
    if (line.hidden || isNull(v) || isNull(drawn)) return;
    rows.push({ line, v: v!, near: Math.abs(u.valToPos(drawn!, line.scale) - (top ?? 0)) });
  });
  return rows;
}

const maxTips = 12;

function showTip(u: uPlot, live: Live): void {
  const options = obj(live.props.panel.options['tooltip']);
  const mode = str(options['mode']) ?? 'single';
  const rows = mode === 'none' ? [] : rowsAt(u, live).filter((r) => r.line.inTooltip);
  if (options['sort'] === 'asc') rows.sort((a, b) => a.v - b.v);
  else if (options['sort'] === 'desc' || rows.length > maxTips) rows.sort((a, b) => b.v - a.v);
  const notes = live.props.marks.filter((m) => near(u, m, u.cursor.left ?? -1)).map((m) => m.text);
  live.tip?.show(rows, mode === 'single' ? 1 : maxTips, (r) => ({ color: r.line.color, name: r.line.name, value: valueText(r.line, r.v) }), notes.slice(0, 4));
}

/** Whether the cursor is at a mark, or inside one that lasts. */
const near = (u: uPlot, m: Mark, left: number): boolean => left > u.valToPos(m.time / 1000, 'x') - 6 && left < u.valToPos((m.end ?? m.time) / 1000, 'x') + 6;

/** What can be done from a point: the panel's data links, and the other signals at that moment. */
function PointMenu({ picked, panel, frames, values, onClose }: PanelProps & { picked: Picked; onClose: () => void }): JSX.Element {
  const { line, time } = picked;
  const links = fieldLinks(line.field, picked.index, line.frame, frames, values);
  const service = metricService(line.field.labels);
  const at = around(time);
  return (
    <RPopover.Root open onOpenChange={(o) => !o && onClose()}>
      <RPopover.Anchor style={{ position: 'absolute', left: picked.x, top: picked.y }} />
      <RPopover.Portal>
        <RPopover.Content className="pop g-menu" sideOffset={6} collisionPadding={10} aria-label={`${panel.title} at ${formatTime(time)}`}>
          <div className="g-menuhead">
            <i style={{ background: line.color }} />
            <b className="clip">{line.name}</b>
            <span className="num">{valueText(line, line.field.values[picked.index] as number)}</span>
          </div>
          <div className="muted g-menutime num">{formatTime(time)}</div>
          {links.map((l) => (
            <LinkItem key={l.title + l.url} link={l} />
          ))}
          {service && (
            <>
              <GoLink className="item" to="/logs" search={{ q: logsForService(service), ...at, via: panel.title }}>
                Logs of {service} at this moment
              </GoLink>
              <GoLink className="item" to="/traces" search={{ q: tracesForService(service), ...at, via: panel.title }}>
                Traces of {service} at this moment
              </GoLink>
            </>
          )}
          {!service && links.length === 0 && (
            <GoLink className="item" to="/logs" search={{ ...at, via: panel.title }}>
              Logs at this moment
            </GoLink>
          )}
        </RPopover.Content>
      </RPopover.Portal>
    </RPopover.Root>
  );
}

interface LegendProps {
  lines: Line[];
  off: ReadonlySet<string>;
  options: Record<string, unknown>;
  table: boolean;
  style: { width?: number; height: number };
  onToggle: (l: Line, add: boolean) => void;
}

function Legend({ lines, off, options, table, style, onToggle }: LegendProps): JSX.Element {
  const calcs = arr(options['calcs']).map(String);
  const [sort, setSort] = useState<{ by: string; desc: boolean } | undefined>(() => {
    const by = Object.entries({ ...reducerNames, mean: 'Mean', lastNotNull: 'Last *' }).find(([id, name]) => id === options['sortBy'] || name === options['sortBy'])?.[0];
    return by && calcs.includes(by) ? { by, desc: options['sortDesc'] !== false } : undefined;
  });
  const rows = useMemo(() => {
    const list = lines.slice(0, 300).map((l) => ({ l, values: calcs.map((c) => reduce(c, l.field)) }));
    const at = sort ? calcs.indexOf(sort.by) : -1;
    if (sort && at >= 0) list.sort((a, b) => (Number(a.values[at] ?? -Infinity) - Number(b.values[at] ?? -Infinity)) * (sort.desc ? -1 : 1));
    return list;
  }, [lines, calcs.join(), sort]);
  const key = (l: Line) => (
    <button type="button" className="g-key" aria-pressed={!off.has(l.key)} title={`${l.name} (click: only this one; Ctrl-click: hide or show)`} onClick={(e) => onToggle(l, e.ctrlKey || e.metaKey)}>
      <i style={{ background: l.color }} />
      <span className="clip">{l.name}</span>
    </button>
  );
  if (!table) {
    return (
      <div className="g-legend" style={style}>
        {rows.map(({ l, values }) => (
          <span key={l.key} className={off.has(l.key) ? 'off' : ''}>
            {key(l)}
            {values.map((v, i) => (
              <span key={calcs[i]} className="muted num">
                {reducerNames[calcs[i]!] ?? calcs[i]}: {shownText(show(l.field.config, v))}
              </span>
            ))}
          </span>
        ))}
      </div>
    );
  }
  return (
    <div className="g-legend table" style={style} tabIndex={0} role="region" aria-label="Legend">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            {calcs.map((c) => (
              <th key={c} scope="col" className="r">
                <button type="button" onClick={() => setSort((s) => ({ by: c, desc: s?.by === c ? !s.desc : true }))}>
                  {reducerNames[c] ?? c}
                  {sort?.by === c ? (sort.desc ? ' ↓' : ' ↑') : ''}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ l, values }) => (
            <tr key={l.key} className={off.has(l.key) ? 'off' : ''}>
              <td>{key(l)}</td>
              {values.map((v, i) => (
                <td key={calcs[i]} className="r num">
                  {shownText(show(l.field.config, v))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
