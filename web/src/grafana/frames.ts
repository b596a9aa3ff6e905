/** Tables of columns, as every panel and transformation takes them. */
import type { RawEntry } from '@/core/api/loki';
import type { Labels, Series } from '@/core/api/prometheus';
import type { FieldOptions } from './model';

export type FieldType = 'time' | 'number' | 'string' | 'boolean' | 'frame' | 'other';

export interface Field {
  name: string;
  type: FieldType;
  /** Times are in milliseconds. */
  values: unknown[];
  labels: Labels;
  /** The legend that the query asked for. */
  alias?: string;
  config: FieldOptions;
  /** Which query it came from, once frames have been joined. */
  refId?: string;
}

export interface Frame {
  refId: string;
  name?: string;
  fields: Field[];
  kind?: 'series' | 'heatmap' | 'nodes' | 'edges' | 'traces';
  entries?: RawEntry[];
}

export const plainOptions = (): FieldOptions => ({ custom: {} });

export function field(name: string, type: FieldType, values: unknown[], labels: Labels = {}): Field {
  return { name, type, values, labels, config: plainOptions() };
}

export const rowsOf = (f: Frame): number => Math.max(0, ...f.fields.map((c) => c.values.length));
export const timeField = (f: Frame): Field | undefined => f.fields.find((c) => c.type === 'time');
export const numberFields = (f: Frame): Field[] => f.fields.filter((c) => c.type === 'number');

/** One frame for each series. */
export function seriesFrames(series: Series[], refId: string, alias: (labels: Labels) => string | undefined): Frame[] {
  return series.map((s) => {
    const value = field(s.labels['__name__'] ?? 'Value', 'number', Array.from(s.values), rest(s.labels));
    const a = alias(s.labels);
    if (a !== undefined) value.alias = a;
    return { refId, kind: 'series', fields: [field('Time', 'time', Array.from(s.times, (t) => t * 1000)), value] };
  });
}

function rest(labels: Labels): Labels {
  const { __name__: _name, ...others } = labels;
  return others;
}

/** One frame for all series, with a column for each label. */
export function tableFrame(series: Series[], refId: string, several: boolean): Frame {
  const keys = [...new Set(series.flatMap((s) => Object.keys(s.labels)))].sort();
  const columns = new Map<string, unknown[]>(keys.map((k) => [k, []]));
  const times: unknown[] = [];
  const values: unknown[] = [];
  for (const s of series) {
    for (let i = 0; i < s.times.length; i++) {
      times.push(s.times[i]! * 1000);
      values.push(s.values[i]!);
      for (const k of keys) columns.get(k)!.push(s.labels[k] ?? '');
    }
  }
  return {
    refId,
    fields: [field('Time', 'time', times), ...keys.map((k) => field(k, 'string', columns.get(k)!)), field(several ? `Value #${refId}` : 'Value', 'number', values)],
  };
}

/** The name that a field is shown under. */
export function nameOf(f: Field, frame?: Frame, all?: Frame[]): string {
  if (f.config.displayName) return f.config.displayName;
  if (f.alias) return f.alias;
  const labels = Object.entries(f.labels);
  if (labels.length === 0) return f.name === 'Value' && frame?.name ? frame.name : f.name;
  if (f.type !== 'number') return f.name;
  // With one label that differs, its value says everything.
  const differing = all ? differingLabel(all) : undefined;
  if (differing && f.labels[differing] !== undefined) return f.labels[differing];
  const text = labels.map(([k, v]) => `${k}="${v}"`).join(', ');
  return `${f.name === 'Value' ? '' : f.name}{${text}}`;
}

const differing = new WeakMap<Frame[], string | undefined>();

function differingLabel(all: Frame[]): string | undefined {
  if (differing.has(all)) return differing.get(all);
  const values = new Map<string, Set<string>>();
  const names = new Set<string>();
  let n = 0;
  for (const f of all.flatMap(numberFields)) {
    n++;
    names.add(f.name);
    for (const [k, v] of Object.entries(f.labels)) values.set(k, (values.get(k) ?? new Set()).add(v));
  }
  const many = [...values].filter(([, v]) => v.size > 1);
  const found = names.size === 1 && many.length === 1 && many[0]![1].size === n ? many[0]![0] : names.size === 1 && values.size === 1 && n === 1 ? [...values.keys()][0] : undefined;
  differing.set(all, found);
  return found;
}

/** Reducers by Grafana's ids. */
export function reduce(id: string, f: Field): unknown {
  const all = f.values;
  switch (id) {
    case 'last':
      return all[all.length - 1] ?? null;
    case 'first':
      return all[0] ?? null;
    case 'lastNotNull': {
      for (let i = all.length - 1; i >= 0; i--) if (!isNull(all[i])) return all[i];
      return null;
    }
    case 'firstNotNull':
      return all.find((v) => !isNull(v)) ?? null;
    case 'count':
      return all.length;
    case 'countAll':
      return all.length;
    case 'distinctCount':
      return new Set(all).size;
    case 'changeCount':
      return all.reduce<number>((n, v, i) => (i > 0 && v !== all[i - 1] ? n + 1 : n), 0);
    case 'allIsNull':
      return all.every(isNull);
    case 'allIsZero':
      return all.length > 0 && all.every((v) => v === 0);
    case 'uniqueValues':
    case 'allValues':
      return (id === 'allValues' ? all : [...new Set(all)]).join(', ');
  }
  const xs = all.filter((v): v is number => typeof v === 'number' && Number.isFinite(v));
  if (xs.length === 0) return null;
  const sum = xs.reduce((a, b) => a + b, 0);
  switch (id) {
    case 'mean':
      return sum / xs.length;
    case 'sum':
    case 'total':
      return sum;
    case 'min':
      return xs.reduce((a, b) => Math.min(a, b));
    case 'max':
      return xs.reduce((a, b) => Math.max(a, b));
    case 'logmin':
      return xs.filter((x) => x > 0).reduce((a, b) => Math.min(a, b), Infinity);
    case 'range':
      return xs.reduce((a, b) => Math.max(a, b)) - xs.reduce((a, b) => Math.min(a, b));
    case 'diff':
      return xs[xs.length - 1]! - xs[0]!;
    case 'diffperc':
      return xs[0] === 0 ? null : ((xs[xs.length - 1]! - xs[0]!) / xs[0]!) * 100;
    case 'delta': {
      let d = 0;
      for (let i = 1; i < xs.length; i++) d += xs[i]! >= xs[i - 1]! ? xs[i]! - xs[i - 1]! : xs[i]!;
      return d;
    }
    case 'step':
      return xs.slice(1).reduce((a, b, i) => Math.min(a, b - xs[i]!), Infinity);
    case 'median':
      return quantile(xs, 0.5);
    case 'variance':
    case 'stdDev': {
      const mean = sum / xs.length;
      const v = xs.reduce((a, x) => a + (x - mean) ** 2, 0) / xs.length;
      return id === 'stdDev' ? Math.sqrt(v) : v;
    }
  }
  const p = /^p(\d{1,2})$/.exec(id);
  if (p) return quantile(xs, Number(p[1]) / 100);
  return reduce('lastNotNull', f);
}

export const isNull = (v: unknown): boolean => v === null || v === undefined || (typeof v === 'number' && Number.isNaN(v));

function quantile(xs: number[], q: number): number {
  const s = [...xs].sort((a, b) => a - b);
  const at = (s.length - 1) * q;
  const i = Math.floor(at);
  return s[i]! + ((s[i + 1] ?? s[i]!) - s[i]!) * (at - i);
}

export const reducerNames: Record<string, string> = {
  lastNotNull: 'Last', last: 'Last', first: 'First', firstNotNull: 'First', mean: 'Mean', max: 'Max', min: 'Min', sum: 'Total', total: 'Total',
  count: 'Count', range: 'Range', diff: 'Difference', delta: 'Delta', logmin: 'Min > 0', median: 'Median', stdDev: 'StdDev', variance: 'Variance',
};
