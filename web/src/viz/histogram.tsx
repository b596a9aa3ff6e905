/** Stacked bars over time with drag to select. Plain SVG: a hundred bars need no library. */
import { useMemo, useRef, useState } from 'react';
import type { JSX, PointerEvent } from 'react';
import type { Range } from '@/core/time/parse';
import { formatTime } from '@/core/time/range';
import { offsetAt, zone } from '@/core/time/zone';
import { count, formatValue } from '@/core/units/units';
import { CellTable } from './cell-table';
import { TableButton } from './table-button';
import { useWidth } from './use-width';

export interface Stack {
  name: string;
  /** A CSS colour. */
  color: string;
  /** Bucket end in seconds to value. */
  points: Map<number, number>;
}

export interface HistogramProps {
  stacks: Stack[];
  range: Range;
  /** Seconds. */
  step: number;
  height: number;
  label: string;
  onSelect?: (fromMs: number, toMs: number) => void;
  onZoomOut?: () => void;
}

const left = 44;
const bottom = 18;
const top = 6;

export function Histogram({ stacks, range, step, height, label, onSelect, onZoomOut }: HistogramProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box, 900);
  const [drag, setDrag] = useState<{ a: number; b: number }>();
  const [hover, setHover] = useState<number>();
  const [table, setTable] = useState(false);
  const buckets = useMemo(() => {
    const first = Math.floor(range.from / 1000 / step) * step + step;
    const last = Math.ceil(range.to / 1000 / step) * step;
    const out: { end: number; parts: number[]; total: number }[] = [];
    for (let t = first; t <= last; t += step) {
      const parts = stacks.map((s) => s.points.get(t) ?? 0);
      out.push({ end: t, parts, total: parts.reduce((a, b) => a + b, 0) });
    }
    return out;
  }, [stacks, range, step]);
  const max = Math.max(1, ...buckets.map((b) => b.total));
  const plotW = Math.max(10, width - left - 8);
  const plotH = height - top - bottom;
  const x = (ms: number) => left + ((ms - range.from) / (range.to - range.from)) * plotW;
  const at = (px: number) => range.from + ((px - left) / plotW) * (range.to - range.from);
  const y = (v: number) => top + plotH - (v / max) * plotH;

  const local = (e: PointerEvent) => Math.max(left, Math.min(width - 8, e.clientX - box.current!.getBoundingClientRect().left));
  const ticks = timeTicks(range, Math.max(2, Math.floor(plotW / 110)));
  const over = hover === undefined ? undefined : buckets.find((b) => hover > (b.end - step) * 1000 && hover <= b.end * 1000);

  return (
    <div ref={box} className="drawn" style={{ position: 'relative' }}>
      <TableButton on={table} onClick={() => setTable(!table)} />
      {table ? (
        <CellTable label={label} height={height} first="From" columns={stacks.map((s) => s.name)} rows={buckets.filter((b) => b.total > 0).map((b) => ({ time: (b.end - step) * 1000, cells: b.parts }))} />
      ) : (
      <svg
        className="histogram"
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={label}
        data-testid="histogram"
        onPointerDown={(e) => {
          if (e.button !== 0) return;
          e.currentTarget.setPointerCapture(e.pointerId);
          setDrag({ a: local(e), b: local(e) });
        }}
        onPointerMove={(e) => {
          setHover(at(local(e)));
          if (drag) setDrag({ ...drag, b: local(e) });
        }}
        onPointerLeave={() => setHover(undefined)}
        onPointerUp={() => {
          if (drag && Math.abs(drag.b - drag.a) > 4) onSelect?.(at(Math.min(drag.a, drag.b)), at(Math.max(drag.a, drag.b)));
          setDrag(undefined);
        }}
        onDoubleClick={() => onZoomOut?.()}
      >
        {[0.5, 1].map((f) => (
          <g key={f}>
            <line className="grid" x1={left} x2={width - 8} y1={y(max * f)} y2={y(max * f)} />
            <text x={left - 6} y={y(max * f) + 4} textAnchor="end">
              {formatValue(max * f)}
            </text>
          </g>
        ))}
        <line className="grid" x1={left} x2={width - 8} y1={y(0)} y2={y(0)} />
        {over && <rect className="hoverband" x={x((over.end - step) * 1000)} width={Math.max(1, x(over.end * 1000) - x((over.end - step) * 1000))} y={top} height={plotH} />}
        {buckets.map((b) => {
          const x0 = Math.max(left, x((b.end - step) * 1000));
          const w = Math.max(1, Math.min(width - 8, x(b.end * 1000)) - x0 - 1);
          let base = 0;
          return b.parts.map((v, i) => {
            if (v === 0) return null;
            const r = <rect key={`${b.end}-${i}`} x={x0} width={w} y={y(base + v)} height={Math.max(0.5, y(base) - y(base + v))} fill={stacks[i]!.color} />;
            base += v;
            return r;
          });
        })}
        {ticks.filter((t) => x(t) < width - 24).map((t) => (
          <text key={t} x={x(t)} y={height - 4} textAnchor="middle">
            {formatTime(t).slice(11, range.to - range.from < 300_000 ? 19 : 16)}
          </text>
        ))}
        {drag && <rect className="selection" x={Math.min(drag.a, drag.b)} width={Math.abs(drag.b - drag.a)} y={top} height={plotH} />}
      </svg>
      )}
      {!table && over && over.total > 0 && (
        <div className="chart-tip" style={tipAt(x(over.end * 1000), width)}>
          <span className="time">
            {formatTime((over.end - step) * 1000)} – {formatTime(over.end * 1000, { date: false })}
          </span>
          {over.parts.map((v, i) =>
            v > 0 ? (
              <div key={stacks[i]!.name}>
                <i style={{ background: stacks[i]!.color }} />
                <span className="name">{stacks[i]!.name}</span>
                <span className="val">{count(Math.round(v))}</span>
              </div>
            ) : null,
          )}
        </div>
      )}
    </div>
  );
}

function tipAt(px: number, width: number): React.CSSProperties {
  return px > width - 220 ? { left: 'auto', right: width - px + 24, top: 4 } : { left: px + 12, top: 4 };
}

const tickSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800].map((s) => s * 1000);

/** Round moments inside the range, about n of them. */
export function timeTicks(range: Range, n: number): number[] {
  const want = (range.to - range.from) / n;
  const step = tickSteps.find((s) => s >= want) ?? want;
  const out: number[] = [];
  // Round in the time of the zone, so that ticks of hours and days fall on them.
  const shift = -offsetAt(range.from, zone());
  for (let t = Math.ceil((range.from - shift) / step) * step + shift; t <= range.to; t += step) out.push(t);
  return out;
}
