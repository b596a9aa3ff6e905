/** Traces as points, time against duration on a logarithmic axis, with a box to select. */
import { memo, useMemo, useRef, useState } from 'react';
import type { JSX, PointerEvent } from 'react';
import type { Box } from '@/core/api/explain';
import type { Heatmap, TraceSummary } from '@/core/api/tempo';
import type { Range } from '@/core/time/parse';
import { formatTime } from '@/core/time/range';
import { seconds } from '@/core/units/units';
import { serviceColor } from '@/core/palette/palette';
import { CellTable } from './cell-table';
import { timeTicks } from './histogram';
import { TableButton } from './table-button';
import { useWidth } from './use-width';

const left = 56;
const bottom = 20;
const top = 8;
const right = 10;

export function Scatter({ traces, heat, heatStep, range, height, hovered, onHover, onOpen, onSelect, onZoomOut, chosen }: { chosen?: Box | undefined; traces: TraceSummary[]; heat: Heatmap | undefined; heatStep: number; range: Range; height: number; hovered: string | undefined; onHover: (id: string | undefined) => void; onOpen: (t: TraceSummary) => void; onSelect: (b: Box) => void; onZoomOut: () => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box, 900);
  const [drag, setDrag] = useState<{ x0: number; y0: number; x1: number; y1: number }>();
  const [table, setTable] = useState(false);
  const [lo, hi] = useMemo(() => decades(traces, heat), [traces, heat]);
  const plotW = Math.max(10, width - left - right);
  const plotH = height - top - bottom;
  const x = (ms: number) => left + ((ms - range.from) / (range.to - range.from)) * plotW;
  const y = (d: number) => top + plotH - ((Math.log10(Math.max(d, lo)) - Math.log10(lo)) / (Math.log10(hi) - Math.log10(lo))) * plotH;
  const atX = (px: number) => range.from + ((px - left) / plotW) * (range.to - range.from);
  const atY = (py: number) => 10 ** (Math.log10(lo) + ((top + plotH - py) / plotH) * (Math.log10(hi) - Math.log10(lo)));

  const local = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect();
    return { x: Math.max(left, Math.min(width - right, e.clientX - r.left)), y: Math.max(top, Math.min(top + plotH, e.clientY - r.top)) };
  };
  const yTicks: number[] = [];
  for (let d = lo; d <= hi * 1.001; d *= 10) yTicks.push(d);
  const tip = traces.find((t) => t.traceID === hovered);

  return (
    <div ref={box} className="drawn" style={{ position: 'relative' }}>
      {heat && <TableButton on={table} onClick={() => setTable(!table)} />}
      {table && heat ? (
        <HeatTable heat={heat} step={heatStep} height={height} />
      ) : (
      <svg
        className="histogram scatter"
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="group"
        aria-label={`${traces.length} traces by time and duration; the list below has the same traces`}
        data-testid="scatter"
        onPointerDown={(e) => {
          if (e.button !== 0 || (e.target as Element).classList.contains('point')) return;
          e.currentTarget.setPointerCapture(e.pointerId);
          const p = local(e);
          setDrag({ x0: p.x, y0: p.y, x1: p.x, y1: p.y });
        }}
        onPointerMove={(e) => {
          if (!drag) return;
          const p = local(e);
          setDrag({ ...drag, x1: p.x, y1: p.y });
        }}
        onPointerUp={() => {
          if (drag && Math.abs(drag.x1 - drag.x0) > 4) {
            const b: Box = { from: atX(Math.min(drag.x0, drag.x1)), to: atX(Math.max(drag.x0, drag.x1)) };
            if (Math.abs(drag.y1 - drag.y0) > 12) {
              b.min = atY(Math.max(drag.y0, drag.y1));
              b.max = atY(Math.min(drag.y0, drag.y1));
            }
            onSelect(b);
          }
          setDrag(undefined);
        }}
        onDoubleClick={onZoomOut}
      >
        {yTicks.map((d) => (
          <g key={d}>
            <line className="grid" x1={left} x2={width - right} y1={y(d)} y2={y(d)} />
            <text x={left - 8} y={y(d) + 4} textAnchor="end">
              {seconds(d / 1000)}
            </text>
          </g>
        ))}
        {timeTicks(range, Math.max(2, Math.floor(plotW / 110)))
          .filter((t) => x(t) < width - 24)
          .map((t) => (
          <text key={t} x={x(t)} y={height - 4} textAnchor="middle">
            {formatTime(t).slice(11, range.to - range.from < 300_000 ? 19 : 16)}
          </text>
        ))}
        <Heat heat={heat} step={heatStep} range={range} x={x} y={y} lo={lo} hi={hi} />
        {traces.map((t) => {
          const r = t.traceID === hovered ? 6 : 3.5;
          const px = x(t.start);
          const py = y(t.durationMs);
          const shared = { onPointerEnter: () => onHover(t.traceID), onPointerLeave: () => onHover(undefined), onClick: () => onOpen(t) };
          // Failed traces differ in shape, not only in colour.
          return t.errors > 0 ? (
            <path key={t.traceID} className="point" d={`M${px} ${py - r - 2}L${px + r + 2} ${py}L${px} ${py + r + 2}L${px - r - 2} ${py}Z`} fill="var(--bad-solid)" {...shared} />
          ) : (
            <circle key={t.traceID} className="point" cx={px} cy={py} r={r} fill={`var(--s${serviceColor(t.rootServiceName)})`} fillOpacity={0.8} {...shared} />
          );
        })}
        {chosen && !drag && <Chosen box={chosen} x={x} y={y} lo={lo} hi={hi} plot={{ from: x(range.from), to: x(range.to), bottom: top + plotH }} />}
        {drag && <rect className="selection" x={Math.min(drag.x0, drag.x1)} width={Math.abs(drag.x1 - drag.x0)} {...(Math.abs(drag.y1 - drag.y0) > 12 ? { y: Math.min(drag.y0, drag.y1), height: Math.abs(drag.y1 - drag.y0) } : { y: top, height: plotH })} />}
      </svg>
      )}
      {tip && !table && (
        <div className="chart-tip" style={x(tip.start) > width - 300 ? { left: 'auto', right: width - x(tip.start) + 12, top: Math.max(0, y(tip.durationMs) - 10) } : { left: x(tip.start) + 12, top: Math.max(0, y(tip.durationMs) - 10) }}>
          <span className="time">{formatTime(tip.start, { ms: true })}</span>
          <div className="near">
            <span className="name">
              {tip.rootServiceName} {tip.rootTraceName}
            </span>
            <span className="val">{seconds(tip.durationMs / 1000)}</span>
          </div>
          {tip.errors > 0 && <div>{tip.errors} failed spans</div>}
        </div>
      )}
    </div>
  );
}

function Chosen({ box, x, y, lo, hi, plot }: { box: Box; x: (ms: number) => number; y: (ms: number) => number; lo: number; hi: number; plot: { from: number; to: number; bottom: number } }): JSX.Element | null {
  const x0 = Math.max(plot.from, x(box.from));
  const x1 = Math.min(plot.to, x(box.to));
  if (x1 <= x0) return null;
  const y0 = box.max === undefined ? top : y(Math.min(hi, box.max));
  const y1 = box.min === undefined ? plot.bottom : y(Math.max(lo, box.min));
  return <rect className="selection kept" x={x0} width={x1 - x0} y={y0} height={Math.max(2, y1 - y0)} />;
}

interface HeatProps {
  heat: Heatmap | undefined;
  step: number;
  range: Range;
  x: (ms: number) => number;
  y: (ms: number) => number;
  lo: number;
  hi: number;
}

/** How many spans there were in each cell of time and duration: the whole window, where the points are only the newest. */
const Heat = memo(
  function Heat({ heat, step, range, x, y, lo, hi }: HeatProps): JSX.Element | null {
    if (!heat || heat.max === 0) return null;
    const full = Math.log1p(heat.max);
    return (
      <g data-testid="heat">
        {heat.times.map((t, i) => {
          const x0 = x(Math.max(range.from, t - step * 1000));
          const x1 = x(Math.min(range.to, t));
          if (x1 <= x0) return null;
          return heat.buckets.map((end, b) => {
            const n = heat.counts[i]![b]!;
            if (n === 0) return null;
            const y1 = y(Math.min(hi, end));
            const y0 = y(Math.max(lo, end / 2));
            return <rect key={`${t}-${b}`} x={x0} width={Math.max(1, x1 - x0 - 0.5)} y={y1} height={Math.max(1, y0 - y1 - 0.5)} fill="var(--accent)" fillOpacity={0.1 + 0.6 * (Math.log1p(n) / full)} />;
          });
        })}
      </g>
    );
  },
  (a, b) => a.heat === b.heat && a.range === b.range && a.lo === b.lo && a.hi === b.hi && a.x(a.range.to) === b.x(b.range.to),
);

/** The heatmap as numbers: spans by time and by duration. */
function HeatTable({ heat, step, height }: { heat: Heatmap; step: number; height: number }): JSX.Element {
  const used = heat.buckets.map((_, b) => b).filter((b) => heat.counts.some((c) => c[b]! > 0));
  const rows = heat.times.map((t, i) => ({ time: t - step * 1000, cells: used.map((b) => heat.counts[i]![b]!) })).filter((r) => r.cells.some((v) => v > 0));
  return <CellTable label="Spans by time and duration" height={height} first="From" columns={used.map((b) => `${seconds(heat.buckets[b]! / 2000)} – ${seconds(heat.buckets[b]! / 1000)}`)} rows={rows} />;
}

/** Whole powers of ten around the durations. */
function decades(traces: TraceSummary[], heat: Heatmap | undefined): [number, number] {
  let lo = Infinity;
  let hi = 0;
  heat?.buckets.forEach((end, b) => {
    if (!heat.counts.some((c) => c[b]! > 0)) return;
    lo = Math.min(lo, end / 2);
    hi = Math.max(hi, end);
  });
  for (const t of traces) {
    lo = Math.min(lo, Math.max(t.durationMs, 0.1));
    hi = Math.max(hi, t.durationMs);
  }
  if (!Number.isFinite(lo) || hi === 0) return [1, 1000];
  const a = 10 ** Math.floor(Math.log10(lo));
  const b = 10 ** Math.ceil(Math.log10(hi));
  return [a, b > a ? b : a * 10];
}
