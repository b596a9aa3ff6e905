/** The series of a time chart: names, colours, axes, stacking; and their columns for the chart library. */
import { assign } from '@/core/palette/palette';
import { cssColor, thresholdColor, valueColor } from '../color';
import { nameOf, numberFields, reduce, timeField } from '../frames';
import type { Field, Frame } from '../frames';
import { arr, num, obj, str } from '../model';
import type { Json } from '../model';

export interface Line {
  key: string;
  name: string;
  color: string;
  field: Field;
  frame: Frame;
  /** Which axis it belongs to. */
  scale: string;
  right: boolean;
  stack: string | undefined;
  percent: boolean;
  hidden: boolean;
  inLegend: boolean;
  inTooltip: boolean;
  custom: Json;
}

export const hideFrom = (c: Json, what: string): boolean => obj(c['hideFrom'])[what] === true;

/** All lines of the frames in order. */
export function linesOf(frames: Frame[]): Line[] {
  const found = frames.flatMap((frame) => (timeField(frame) ? numberFields(frame).map((field) => ({ frame, field })) : []));
  const names = found.map(({ field, frame }) => nameOf(field, frame, frames));
  const colors = assign(names);
  return found.map(({ frame, field }, i) => {
    const f = field.config;
    const c = f.custom;
    const last = reduce('lastNotNull', field);
    const mode = f.color?.mode ?? 'palette-classic';
    const own = `var(--s${colors[i]})`;
    const stacking = obj(c['stacking']);
    const stackMode = str(stacking['mode']) ?? 'none';
    const log = obj(c['scaleDistribution'])['type'] === 'log';
    const placement = str(c['axisPlacement']) ?? 'auto';
    const color = mode === 'fixed' || mode === 'shades' ? cssColor(f.color?.fixedColor) : mode === 'thresholds' ? (typeof last === 'number' ? thresholdColor(f.thresholds, last, f.min, f.max) : own) : mode.startsWith('continuous') ? valueColor(f, typeof last === 'number' ? last : undefined, own) : own;
    return {
      key: `${i}:${names[i]!}`,
      name: names[i]!,
      color,
      field,
      frame,
      scale: [f.unit ?? '', placement === 'right' ? 'right' : '', log ? 'log' : '', f.min ?? '', f.max ?? '', stackMode === 'percent' ? '%' : ''].join('|'),
      right: placement === 'right',
      // `false` is a group of its own: old dashboards keep a line out of the stack with it.
      stack: stackMode === 'none' ? undefined : String(stacking['group'] ?? 'A'),
      percent: stackMode === 'percent',
      hidden: hideFrom(c, 'viz'),
      inLegend: !hideFrom(c, 'legend'),
      inTooltip: !hideFrom(c, 'tooltip'),
      custom: c,
    };
  });
}

type Cell = number | null | undefined;

/** Columns over one grid of times in seconds. A place between two points of a line is undefined, a gap in it is null. */
export function columns(lines: Line[]): { times: number[]; cols: Cell[][] } {
  const same = lines.every((l) => timeField(l.frame)!.values === timeField(lines[0]!.frame)!.values);
  const set = new Set<number>();
  for (const l of lines) for (const t of timeField(l.frame)!.values) set.add(t as number);
  const ms = [...set].sort((a, b) => a - b);
  const at = same ? undefined : new Map(ms.map((t, i) => [t, i]));
  const cols = lines.map((l) => {
    const ts = timeField(l.frame)!.values as number[];
    const sign = l.custom['transform'] === 'negative-Y' ? -1 : 1;
    const read = (i: number): Cell => {
      const v = l.field.values[i];
      return typeof v === 'number' && Number.isFinite(v) ? v * sign : null;
    };
    if (!at) return ts.map((_, i) => read(i));
    const col = new Array<Cell>(ms.length).fill(undefined);
    let step = Infinity;
    for (let i = 1; i < ts.length; i++) step = Math.min(step, ts[i]! - ts[i - 1]!);
    for (let i = 0; i < ts.length; i++) {
      const k = at.get(ts[i]!)!;
      col[k] = read(i);
      if (i > 0 && ts[i]! - ts[i - 1]! > step * 1.5 && l.custom['spanNulls'] !== true) {
        const from = at.get(ts[i - 1]!)!;
        if (k - from > 1) col[from + 1] = null;
      }
    }
    return col;
  });
  return { times: ms.map((t) => t / 1000), cols };
}

/** Adds up lines of one stack; `base` is what each stands on. */
export function stacked(lines: Line[], cols: Cell[][]): { cols: Cell[][]; bands: [number, number][] } {
  if (!lines.some((l) => l.stack !== undefined)) return { cols, bands: [] };
  const n = cols[0]?.length ?? 0;
  const totals = new Map<string, Float64Array>();
  const out = cols.map((c) => [...c]);
  const last = new Map<string, number>();
  const bands: [number, number][] = [];
  const groupOf = (l: Line) => `${l.scale}·${l.stack}·${l.custom['transform'] === 'negative-Y' ? '-' : '+'}`;
  const sums = new Map<string, Float64Array>();
  lines.forEach((l, i) => {
    if (!l.percent || l.hidden) return;
    const sum = sums.get(groupOf(l)) ?? new Float64Array(n);
    for (let k = 0; k < n; k++) sum[k]! += Math.abs(cols[i]![k] ?? 0);
    sums.set(groupOf(l), sum);
  });
  lines.forEach((l, i) => {
    if (l.stack === undefined || l.hidden) return;
    const g = groupOf(l);
    const total = totals.get(g) ?? new Float64Array(n);
    totals.set(g, total);
    const sum = sums.get(g);
    for (let k = 0; k < n; k++) {
      const v = cols[i]![k];
      if (v === undefined && !last.has(g)) continue;
      const share = sum ? (sum[k] ? (v ?? 0) / sum[k]! : 0) : (v ?? 0);
      total[k]! += share;
      // A gap in one line must not tear the ones above it.
      out[i]![k] = v === null && !last.has(g) ? null : total[k]!;
    }
    if (last.has(g)) bands.push([i, last.get(g)!]);
    last.set(g, i);
  });
  return { cols: out, bands };
}

/** Lower and upper end of an axis. */
export function scaleRange(lines: Line[], lo: number | null, hi: number | null, log: boolean): [number, number] {
  const pick = (f: (l: Line) => number | undefined, g: (a: number, b: number) => number) => {
    const xs = lines.map(f).filter((x): x is number => x !== undefined);
    return xs.length > 0 ? xs.reduce((a, b) => g(a, b)) : undefined;
  };
  const min = pick((l) => l.field.config.min, Math.min);
  const max = pick((l) => l.field.config.max, Math.max);
  const softMin = pick((l) => num(l.custom['axisSoftMin']), Math.min);
  const softMax = pick((l) => num(l.custom['axisSoftMax']), Math.max);
  let a = lo ?? 0;
  let b = hi ?? 1;
  if (softMin !== undefined) a = Math.min(a, softMin);
  if (softMax !== undefined) b = Math.max(b, softMax);
  if (log) return [min ?? Math.max(a > 0 ? a : 1e-3, 1e-12), max ?? Math.max(b, a > 0 ? a * 10 : 1)];
  const filled = lines.some((l) => (num(l.custom['fillOpacity']) ?? 0) > 0 || l.custom['drawStyle'] === 'bars' || l.stack !== undefined);
  if (a === b) {
    if (a === 0) b = 1;
    else if (a > 0) a = 0;
    else b = 0;
  } else if (a >= 0 && (filled || a < b * 0.5)) a = 0;
  const room = (b - a) * 0.06;
  const top = b <= 0 && filled ? 0 : b + room;
  const bottom = a === 0 || (a >= 0 && filled) ? a : a - room;
  return [min ?? bottom, max ?? (lines.every((l) => l.percent) ? 1 : top)];
}

export const dashOf = (c: Json): number[] | undefined => {
  const s = obj(c['lineStyle']);
  if (s['fill'] === 'dash') return arr(s['dash']).map(Number).filter(Number.isFinite).slice(0, 8).length > 0 ? arr(s['dash']).map(Number) : [8, 6];
  return s['fill'] === 'dot' ? [1, 5] : undefined;
};
