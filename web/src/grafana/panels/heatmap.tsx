/** The heatmap panel: buckets over time on a canvas. */
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { useTheme } from '@/app/theme';
import { formatTime } from '@/core/time/range';
import { schemeColor } from '../color';
import { nameOf, numberFields, timeField } from '../frames';
import type { Frame } from '../frames';
import { num, obj, str } from '../model';
import { unitText } from '../units';
import { paint } from './paint';
import type { PanelProps } from './context';

interface Grid {
  times: number[];
  names: string[];
  /** By row, then time. */
  cells: Float64Array[];
  max: number;
}

/** Buckets as they are; or values counted into buckets when there are none. */
export function gridOf(frames: Frame[], calculate: boolean): Grid | undefined {
  const own = frames.find((f) => f.kind === 'heatmap');
  const series = frames.filter((f) => timeField(f));
  if (!own && series.length === 0) return undefined;
  if (own) {
    const times = timeField(own)!.values as number[];
    const rows = numberFields(own);
    return finish(times, rows.map((f) => f.name), rows.map((f) => Float64Array.from(f.values as number[])));
  }
  const lines = series.flatMap((f) => numberFields(f).map((c) => ({ name: nameOf(c, f, frames), times: timeField(f)!.values as number[], values: c.values as number[] })));
  const times = [...new Set(lines.flatMap((l) => l.times))].sort((a, b) => a - b);
  const at = new Map(times.map((t, i) => [t, i]));
  if (!calculate) {
    const sorted = [...lines].sort((a, b) => Number(a.name) - Number(b.name) || 0);
    const cells = sorted.map((l) => {
      const row = new Float64Array(times.length);
      l.times.forEach((t, i) => (row[at.get(t)!] = Number.isFinite(l.values[i]!) ? l.values[i]! : 0));
      return row;
    });
    return finish(times, sorted.map((l) => l.name), cells);
  }
  const all = lines.flatMap((l) => l.values).filter(Number.isFinite);
  if (all.length === 0) return undefined;
  const lo = all.reduce((a, b) => Math.min(a, b));
  const hi = all.reduce((a, b) => Math.max(a, b));
  const n = 12;
  const size = (hi - lo) / n || 1;
  const cells = Array.from({ length: n }, () => new Float64Array(times.length));
  for (const l of lines) l.values.forEach((v, i) => Number.isFinite(v) && cells[Math.min(n - 1, Math.floor((v - lo) / size))]![at.get(l.times[i]!)!]!++);
  return finish(times, cells.map((_, i) => String(lo + (i + 1) * size)), cells);
}

function finish(times: number[], names: string[], cells: Float64Array[]): Grid {
  let max = 0;
  for (const row of cells) for (const v of row) if (v > max) max = v;
  return { times, names, cells, max };
}

const left = 62;
const bottom = 22;

export default function Heatmap({ panel, frames, width, height, range, onZoomOut }: PanelProps): JSX.Element {
  const theme = useTheme();
  const canvas = useRef<HTMLCanvasElement>(null);
  const grid = useMemo(() => gridOf(frames, panel.options['calculate'] === true), [frames, panel.options]);
  const [hover, setHover] = useState<{ x: number; y: number; i: number; k: number }>();
  const color = obj(panel.options['color']);
  const scheme = str(color['scheme']) ?? 'Oranges';
  const unit = str(obj(panel.options['yAxis'])['unit']) ?? panel.defaults.unit ?? '';
  const exponent = num(color['exponent']) ?? 0.5;
  const w = Math.max(10, width - left - 8);
  const h = Math.max(10, height - bottom - 6);

  useEffect(() => {
    const c = canvas.current;
    if (!c || !grid) return;
    const dpr = devicePixelRatio || 1;
    c.width = w * dpr;
    c.height = h * dpr;
    const ctx = c.getContext('2d')!;
    ctx.scale(dpr, dpr);
    ctx.clearRect(0, 0, w, h);
    const shades = Array.from({ length: 33 }, (_, i) => paint(str(color['mode']) === 'opacity' ? `color-mix(in srgb, var(--accent) ${i * 3}%, transparent)` : schemeColor(scheme, 0.15 + (0.85 * i) / 32)));
    const step = grid.times.length > 1 ? grid.times.slice(1).reduce((a, t, i) => Math.min(a, t - grid.times[i]!), Infinity) : range.to - range.from;
    const x = (t: number) => ((t - range.from) / (range.to - range.from)) * w;
    const cw = Math.max(1, (step / (range.to - range.from)) * w);
    const ch = h / grid.names.length;
    grid.cells.forEach((row, k) => {
      row.forEach((v, i) => {
        if (v <= 0) return;
        ctx.fillStyle = shades[Math.round((v / grid.max) ** exponent * 32)]!;
        ctx.fillRect(x(grid.times[i]!) - cw + 0.5, h - (k + 1) * ch + 0.5, Math.max(1, cw - 1), Math.max(1, ch - 1));
      });
    });
  }, [grid, w, h, theme, range, scheme, exponent]);

  if (!grid || grid.names.length === 0) return <div className="g-empty">No data</div>;
  const every = Math.max(1, Math.ceil((grid.names.length * 14) / h));
  const label = (n: string) => (n === '+Inf' ? '∞' : Number.isFinite(Number(n)) ? unitText(Number(n), unit) : n);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((p) => range.from + p * (range.to - range.from));
  return (
    <div className="g-heat" data-testid="heatmap" onDoubleClick={onZoomOut}>
      <svg width={width} height={height} role="img" aria-label={`${panel.title || 'Heatmap'}: ${grid.names.length} buckets, largest cell ${Math.round(grid.max * 100) / 100}`}>
        {grid.names.map((n, k) => (k % every === 0 ? <text key={k} x={left - 6} y={6 + h - (k + 0.5) * (h / grid.names.length) + 4} textAnchor="end">{label(n)}</text> : null))}
        {ticks.map((t, i) => (
          <text key={t} x={left + (i / 4) * w} y={height - 6} textAnchor={i === 0 ? 'start' : i === 4 ? 'end' : 'middle'}>
            {formatTime(t, { date: false })}
          </text>
        ))}
      </svg>
      <canvas
        ref={canvas}
        style={{ left, top: 6, width: w, height: h }}
        onMouseMove={(e) => {
          const box = e.currentTarget.getBoundingClientRect();
          const x = e.clientX - box.left;
          const y = e.clientY - box.top;
          const t = range.from + (x / w) * (range.to - range.from);
          setHover({ x, y, i: grid.times.findIndex((a) => a >= t), k: Math.min(grid.names.length - 1, Math.max(0, Math.floor(((h - y) / h) * grid.names.length))) });
        }}
        onMouseLeave={() => setHover(undefined)}
      />
      {hover && hover.i >= 0 && (
        <div className="chart-tip" style={{ transform: `translate(${hover.x + left + (hover.x > w / 2 ? -190 : 14)}px, ${Math.max(2, hover.y - 10)}px)` }}>
          <span className="time">{formatTime(grid.times[hover.i]!)}</span>
          <div>
            <span className="name">{hover.k > 0 ? `${label(grid.names[hover.k - 1]!)} – ` : '≤ '}{label(grid.names[hover.k]!)}</span>
            <span className="val">{unitText(grid.cells[hover.k]![hover.i]!, 'short')}</span>
          </div>
        </div>
      )}
    </div>
  );
}
