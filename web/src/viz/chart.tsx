/** The time series chart: uPlot with one tooltip, drag to zoom, exemplars and a keyboard cursor. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './chart.css';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX, KeyboardEvent } from 'react';
import { token, useTheme } from '@/app/theme';
import type { Envelope3, Exemplar, Labels } from '@/core/api/prometheus';
import type { Range } from '@/core/time/parse';
import { formatTime } from '@/core/time/range';
import { formatValue } from '@/core/units/units';
import type { Unit } from '@/core/units/units';
import { align, valueRange } from './align';
import { ChartTable } from './chart-table';
import { lonely, stepCursor, timeTicks, Tip, zonedDate, zoomOnSelect } from './plot';
import type { TipRow } from './plot';
import { TableButton } from './table-button';

export interface ChartSeries {
  key: string;
  name: string;
  labels: Labels;
  /** Palette index. */
  color: number;
  times: Float64Array;
  values: Float64Array;
  hidden?: boolean;
}

export interface ChartProps {
  series: ChartSeries[];
  range: Range;
  /** Seconds. */
  step: number;
  unit: Unit;
  height: number;
  label: string;
  exemplars?: Exemplar[];
  fill?: boolean;
  onZoom?: (fromMs: number, toMs: number) => void;
  onZoomOut?: () => void;
  onExemplar?: (e: Exemplar, at: { x: number; y: number }) => void;
  /** A click on the plot: the moment and the series nearest to it. */
  onPoint?: (p: ChartPoint, at: { x: number; y: number }) => void;
  /** A right click on the plot, or the menu key at the cursor. */
  onMenu?: (p: ChartPoint, at: { x: number; y: number }) => void;
  /** Charts with the same key share the cursor. */
  sync?: string;
  /** A band from the lowest to the highest of all series, drawn behind the others, with the middle as a line. */
  envelope?: Envelope3;
  /** Thin vertical marks, for example deployments. */
  marks?: ChartMark[];
}

export interface ChartMark {
  /** Milliseconds. */
  time: number;
  label: string;
}

export interface ChartPoint {
  /** Milliseconds. */
  time: number;
  value: number;
  series: ChartSeries;
}

const maxTips = 9;

interface Live {
  props: ChartProps;
  layer?: HTMLDivElement;
  tip?: Tip<Row>;
}

export function TimeChart(props: ChartProps): JSX.Element {
  const { series, range, step, unit, height, exemplars } = props;
  const theme = useTheme();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const live = useRef<Live>({ props });
  live.current.props = props;
  const [spoken, setSpoken] = useState('');
  const [table, setTable] = useState(false);
  const data = useMemo(() => align(series, range, step), [series, range, step]);
  const signature = series.map((s) => `${s.key}#${s.color}`).join('|');

  useEffect(() => {
    const el = host.current;
    if (!el) return;
    const u = new uPlot(optionsFor(live.current, el.clientWidth || 600), data as uPlot.AlignedData, el);
    plot.current = u;
    const ro = new ResizeObserver(() => {
      if (el.clientWidth > 0 && el.clientWidth !== u.width) u.setSize({ width: el.clientWidth, height: live.current.props.height });
    });
    ro.observe(el);
    return () => {
      ro.disconnect();
      u.destroy();
      plot.current = undefined;
    };
    // Rebuilt when the set of series or the theme changes; data and size are set below.
  }, [signature, theme, unit, height, table]);

  useEffect(() => {
    const u = plot.current;
    if (!u || u.series.length !== data.length) return;
    u.setData(data as uPlot.AlignedData, true);
  }, [data]);

  useEffect(() => {
    const u = plot.current;
    if (!u) return;
    series.forEach((s, i) => {
      if (u.series[i + 1] && u.series[i + 1]!.show !== !s.hidden) u.setSeries(i + 1, { show: !s.hidden });
    });
  }, [series]);

  useEffect(() => {
    if (plot.current) drawExemplars(plot.current, live.current);
  }, [exemplars, data, theme]);

  const onKey = (e: KeyboardEvent) => {
    const u = plot.current;
    if (!u) return;
    if (e.key === 'Enter' || e.key === 'ContextMenu' || (e.key === 'F10' && e.shiftKey)) {
      const near = rowsAt(u, live.current)[0];
      if (!near) return;
      e.preventDefault();
      pick(u, live.current, e.key === 'Enter' ? 'onPoint' : 'onMenu', near);
      return;
    }
    const idx = stepCursor(u, e.key);
    if (idx === undefined) return;
    e.preventDefault();
    const x = u.data[0][idx]!;
    const parts = series
      .map((s, i) => ({ name: s.name, v: u.data[i + 1]?.[idx] }))
      .filter((p) => p.v !== null && p.v !== undefined)
      .slice(0, 5)
      .map((p) => `${p.name} ${formatValue(p.v, unit)}`);
    setSpoken(`${formatTime(x * 1000)}: ${parts.join(', ') || 'no data'}`);
  };

  if (table) {
    return (
      <div className="chart" style={{ height }}>
        <TableButton on onClick={() => setTable(false)} />
        <ChartTable columns={data} names={series.map((s) => s.name)} unit={unit} label={props.label} height={height} />
      </div>
    );
  }
  return (
    <div className="chart" style={{ height }}>
      <TableButton onClick={() => setTable(true)} />
      <div ref={host} tabIndex={0} role="group" aria-label={`${props.label}. Arrow keys move the cursor, Enter and the menu key act on it.`} onKeyDown={onKey} onDoubleClick={() => props.onZoomOut?.()} data-testid="chart" />
      <div className="sr" aria-live="polite">
        {spoken}
      </div>
    </div>
  );
}

function optionsFor(live: Live, width: number): uPlot.Options {
  const p = live.props;
  const axisFont = `11px ${token('--font')}`;
  const grid = { stroke: token('--line'), width: 1 };
  const ticks = { show: false };
  return {
    width,
    height: p.height,
    legend: { show: false },
    tzDate: zonedDate,
    padding: [8, 16, 0, 0],
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, width: 2 },
      y: false,
      focus: { prox: 24 },
      ...(p.sync ? { sync: { key: p.sync, setSeries: false } } : {}),
    },
    focus: { alpha: 1 },
    scales: {
      x: { time: true, range: () => [live.props.range.from / 1000, live.props.range.to / 1000] },
      // Rates, shares and durations are read against nothing at all; sizes and counts may be cropped.
      y: { range: (_u, min, max) => valueRange(...withEnvelope(min, max, live.props.envelope), /^(perSecond|ratio|percent|s)$/.test(live.props.unit)) },
    },
    axes: [
      { stroke: token('--muted'), font: axisFont, grid: { show: false }, ticks: { stroke: token('--line'), size: 4 }, size: 26, space: 70, values: timeTicks },
      {
        stroke: token('--muted'),
        font: axisFont,
        grid,
        ticks,
        gap: 4,
        space: 30,
        size: (_u, values) => Math.max(38, ...(values ?? []).map((v) => v.length * 6.4 + 12)),
        values: (_u, splits) => splits.map((v) => formatValue(v, live.props.unit)),
      },
    ],
    series: [
      {},
      ...p.series.map((s) => {
        const stroke = token(`--s${s.color}`);
        return {
          label: s.name,
          stroke,
          width: 1.5,
          show: !s.hidden,
          spanGaps: false,
          points: { show: (u: uPlot, si: number, i0: number, i1: number) => lonely(u, si, i0, i1), size: 4, fill: stroke },
          ...(p.fill || p.series.length === 1 ? { fill: `color-mix(in srgb, ${stroke} 12%, transparent)` } : {}),
        };
      }),
    ],
    hooks: {
      init: [(u) => attach(u, live)],
      setSelect: [zoomOnSelect(() => live.props.onZoom)],
      setCursor: [(u) => showTip(u, live)],
      drawAxes: [(u) => drawEnvelope(u, live)],
      draw: [(u) => drawMarks(u, live), (u) => drawExemplars(u, live)],
    },
  };
}

function attach(u: uPlot, live: Live): void {
  live.layer = document.createElement('div');
  live.layer.className = 'exemplars';
  u.over.append(live.layer);
  live.tip = new Tip<Row>(u, {
    rows: () => rowsAt(u, live),
    onClick: (row) => pick(u, live, 'onPoint', row),
    onMenu: (row) => {
      if (live.props.onMenu) pick(u, live, 'onMenu', row);
      return live.props.onMenu !== undefined;
    },
  });
}

function pick(u: uPlot, live: Live, what: 'onPoint' | 'onMenu', row: Row): void {
  live.tip?.hide();
  live.props[what]?.({ time: u.data[0][u.cursor.idx!]! * 1000, value: row.v, series: row.series }, { x: (u.cursor.left ?? 0) + u.over.offsetLeft, y: (what === 'onMenu' ? (u.cursor.top ?? 0) : u.valToPos(row.v, 'y')) + u.over.offsetTop });
}

interface Row extends TipRow {
  series: ChartSeries;
}

/** The visible series that have a value under the cursor. */
function rowsAt(u: uPlot, live: Live): Row[] {
  const { top, idx } = u.cursor;
  const rows: Row[] = [];
  if (idx === null || idx === undefined) return rows;
  live.props.series.forEach((s, i) => {
    const v = u.data[i + 1]?.[idx];
    if (s.hidden || v === null || v === undefined) return;
    rows.push({ series: s, v, near: Math.abs(u.valToPos(v, 'y') - (top ?? 0)) });
  });
  return rows;
}

function showTip(u: uPlot, live: Live): void {
  const rows = rowsAt(u, live).sort((a, b) => b.v - a.v);
  live.tip?.show(rows, maxTips, (r) => ({ color: `var(--s${r.series.color})`, name: r.series.name, value: formatValue(r.v, live.props.unit) }));
}

/** The ends of the value axis, wide enough for the band. */
function withEnvelope(min: number | null, max: number | null, e: Envelope3 | undefined): [number | null, number | null] {
  if (!e) return [min, max];
  let lo = min ?? Infinity;
  let hi = max ?? -Infinity;
  for (const v of e.min) if (v < lo) lo = v;
  for (const v of e.max) if (v > hi) hi = v;
  return [lo, hi];
}

function drawEnvelope(u: uPlot, live: Live): void {
  const e = live.props.envelope;
  if (!e || e.times.length === 0) return;
  const ctx = u.ctx;
  const x = (i: number) => u.valToPos(e.times[i]!, 'x', true);
  const y = (v: number) => u.valToPos(v, 'y', true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  ctx.beginPath();
  for (let i = 0; i < e.times.length; i++) ctx.lineTo(x(i), y(e.max[i]!));
  for (let i = e.times.length - 1; i >= 0; i--) ctx.lineTo(x(i), y(e.min[i]!));
  ctx.closePath();
  ctx.fillStyle = `color-mix(in srgb, ${token('--muted')} 16%, transparent)`;
  ctx.fill();
  ctx.beginPath();
  for (let i = 0; i < e.times.length; i++) ctx.lineTo(x(i), y(e.median[i]!));
  ctx.strokeStyle = token('--muted');
  ctx.setLineDash([4, 4]);
  ctx.stroke();
  ctx.restore();
}

function drawMarks(u: uPlot, live: Live): void {
  const { marks, range } = live.props;
  if (!marks || marks.length === 0) return;
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.strokeStyle = token('--brand');
  u.ctx.fillStyle = token('--brand');
  u.ctx.lineWidth = devicePixelRatio;
  u.ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const m of marks) {
    if (m.time < range.from || m.time > range.to) continue;
    const x = Math.round(left + ((m.time - range.from) / (range.to - range.from)) * width);
    u.ctx.beginPath();
    u.ctx.moveTo(x, top);
    u.ctx.lineTo(x, top + height);
    u.ctx.stroke();
    u.ctx.font = `${10 * devicePixelRatio}px ${token('--font')}`;
    u.ctx.fillText(m.label, x + 4 * devicePixelRatio, top + 10 * devicePixelRatio);
  }
  u.ctx.restore();
}

const exemplarGap = 14;

/** The highest exemplar of every few pixels: enough to click, never a heap. */
function thin(list: Exemplar[], range: Range, width: number): Exemplar[] {
  const best = new Map<number, Exemplar>();
  for (const e of list) {
    if (e.time < range.from || e.time > range.to) continue;
    const slot = Math.floor((((e.time - range.from) / (range.to - range.from)) * width) / exemplarGap);
    const old = best.get(slot);
    if (!old || e.value > old.value) best.set(slot, e);
  }
  return [...best.values()];
}

/** Diamonds for exemplars: at their value when the axis shows durations, along the top edge otherwise. */
function drawExemplars(u: uPlot, live: Live): void {
  const layer = live.layer;
  if (!layer) return;
  const { exemplars, range, unit, onExemplar } = live.props;
  layer.replaceChildren();
  if (!exemplars || exemplars.length === 0) return;
  const chosen = thin(exemplars, range, u.over.clientWidth);
  const h = u.over.clientHeight;
  for (const e of chosen) {
    const x = u.valToPos(e.time / 1000, 'x');
    const y = unit === 's' ? Math.max(6, Math.min(h - 4, u.valToPos(e.value, 'y'))) : 8;
    const b = document.createElement('button');
    b.type = 'button';
    b.className = 'exemplar';
    b.tabIndex = -1;
    b.style.transform = `translate(${x}px, ${y}px) rotate(45deg)`;
    b.setAttribute('aria-label', `Exemplar ${formatValue(e.value, 's')} at ${formatTime(e.time)}`);
    b.addEventListener('mousedown', (ev) => ev.stopPropagation());
    b.addEventListener('click', (ev) => {
      ev.stopPropagation();
      live.tip?.hide();
      onExemplar?.(e, { x: x + u.over.offsetLeft, y: y + u.over.offsetTop });
    });
    layer.append(b);
  }
}
