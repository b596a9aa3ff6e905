/** Puts series on one time grid, as the chart library wants it. */
import type { Range } from '@/core/time/parse';

export interface Timed {
  times: Float64Array;
  values: Float64Array;
}

export type Column = (number | null)[];

/** Column 0 is the grid in seconds; points off the grid go to the nearest place, gaps are null. */
export function align(series: Timed[], range: Range, step: number): Column[] {
  const start = Math.floor(range.from / 1000 / step) * step;
  const end = Math.ceil(range.to / 1000 / step) * step;
  const n = Math.max(1, Math.round((end - start) / step) + 1);
  const grid: Column = new Array<number>(n);
  for (let i = 0; i < n; i++) grid[i] = start + i * step;
  const out: Column[] = [grid];
  for (const s of series) {
    const col: Column = new Array<number | null>(n).fill(null);
    for (let i = 0; i < s.times.length; i++) {
      const k = Math.round((s.times[i]! - start) / step);
      const v = s.values[i]!;
      if (k >= 0 && k < n && Number.isFinite(v)) col[k] = v;
    }
    out.push(col);
  }
  return out;
}

export interface Stats {
  last: number | null;
  min: number | null;
  max: number | null;
  mean: number | null;
}

export function statsOf(values: Float64Array): Stats {
  let last: number | null = null;
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let n = 0;
  for (const v of values) {
    if (!Number.isFinite(v)) continue;
    last = v;
    sum += v;
    n++;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  return n === 0 ? { last: null, min: null, max: null, mean: null } : { last, min, max, mean: sum / n };
}

/** Lower and upper end of a value axis: starts at zero unless that would flatten the data and zero is not asked for. */
export function valueRange(min: number | null, max: number | null, zero = false): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (min === max) {
    if (min === 0) return [0, 1];
    return min > 0 ? [0, min * 1.25] : [min * 1.25, 0];
  }
  const padding = (max - min) * 0.08;
  const lo = min >= 0 && (zero || min < max * 0.75) ? 0 : min - padding;
  return [lo, max <= 0 && max > min * 0.25 ? 0 : max + padding];
}
