/** Small edits and guesses on PromQL text and metric names. */
import { escapeString } from '../api/prometheus';
import type { Labels, Metadata } from '../api/prometheus';

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'unknown';

export interface Metric {
  name: string;
  type: MetricType;
  unit: string;
  help: string;
}

const suffix = /_(bucket|count|sum|total)$/;

function known(type: string | undefined): MetricType {
  if (type === 'counter' || type === 'gauge' || type === 'histogram' || type === 'summary') return type;
  return type === 'gaugehistogram' ? 'histogram' : 'unknown';
}

/** Folds the series names of histograms into one metric and adds what is known about each. */
export function toMetrics(names: string[], meta: Map<string, Metadata>): Metric[] {
  const all = new Set(names);
  const out = new Map<string, Metric>();
  for (const name of names) {
    const base = name.replace(suffix, '');
    const m = meta.get(name) ?? meta.get(base);
    let type = known(m?.type);
    if (type === 'unknown' && (name.endsWith('_bucket') || all.has(`${base}_bucket`))) type = 'histogram';
    if (type === 'unknown' && name.endsWith('_total')) type = 'counter';
    const family = (type === 'histogram' || type === 'summary') && /_(bucket|count|sum)$/.test(name);
    const key = family ? base : name;
    if (!out.has(key)) out.set(key, { name: key, type, unit: m?.unit || unitOf(base), help: m?.help ?? '' });
  }
  return [...out.values()];
}

function unitOf(name: string): string {
  const m = /_(seconds|milliseconds|bytes|ratio|percent|celsius|meters|volts|joules|amperes)$/.exec(name);
  return m?.[1] ?? '';
}

const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** A selector of the metric, quoting names that are not plain. */
export function selector(name: string, matchers = ''): string {
  if (!plain.test(name)) return `{"${escapeString(name)}"${matchers ? `, ${matchers}` : ''}}`;
  return matchers ? `${name}{${matchers}}` : name;
}

/** The query that shows a metric the way its type asks for. */
export function defaultQuery(m: Metric, matchers = ''): string {
  switch (m.type) {
    case 'counter':
      return `sum(rate(${selector(m.name, matchers)}[$__rate_interval]))`;
    case 'histogram':
      return `histogram_quantile(0.95, sum by (le) (rate(${selector(`${m.name}_bucket`, matchers)}[$__rate_interval])))`;
    case 'summary':
      return `rate(${selector(`${m.name}_sum`, matchers)}[$__rate_interval]) / rate(${selector(`${m.name}_count`, matchers)}[$__rate_interval])`;
    default:
      return selector(m.name, matchers);
  }
}

const reserved = new Set(
  'sum avg min max count stddev stdvar topk bottomk quantile group count_values by without on ignoring group_left group_right bool offset and or unless rate irate increase delta deriv histogram_quantile label_replace label_join time vector scalar abs ceil floor round sort sort_desc clamp clamp_min clamp_max absent'.split(' '),
);

/** The first metric name in an expression. */
export function metricOf(expr: string): string | undefined {
  const bare = expr.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/\[[^\]]*\]/g, '').replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, '');
  for (const m of bare.replace(/\{[^}]*\}/g, '').matchAll(/[a-zA-Z_:][a-zA-Z0-9_:]*/g)) {
    const after = bare.slice(bare.indexOf(m[0]) + m[0].length);
    if (!reserved.has(m[0]) && !m[0].startsWith('__') && !/^\s*\(/.test(after)) return m[0];
  }
  return undefined;
}

/** Adds a matcher to every selector of the metric in the expression; replaces one on the same label. */
export function addMatcher(expr: string, metric: string, label: string, value: string, op: '=' | '!=' = '='): string {
  const matcher = `${label}${op}"${escapeString(value)}"`;
  const re = new RegExp(`(?<![\\w:])${metric.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\w:])(\\s*\\{((?:[^}"]|"(?:[^"\\\\]|\\\\.)*")*)\\})?`, 'g');
  return expr.replace(re, (_all, _braces: string | undefined, inner: string | undefined) => {
    const rest = (inner ?? '')
      .split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/)
      .map((p) => p.trim())
      .filter((p) => p !== '' && !new RegExp(`^${label}\\s*(=~|!~|!=|=)`).test(p));
    return `${metric}{${[...rest, matcher].join(', ')}}`;
  });
}

/** The part of the label sets in which series differ, as a name. */
export function seriesNames(all: Labels[]): string[] {
  const common = new Set<string>();
  const first = all[0];
  if (first && all.length > 1) for (const [k, v] of Object.entries(first)) if (all.every((l) => l[k] === v)) common.add(k);
  return all.map((l) => {
    const keys = Object.keys(l)
      .filter((k) => k !== '__name__' && !common.has(k))
      .sort();
    if (keys.length === 0) return l['__name__'] ?? (Object.keys(l).length > 0 ? formatLabels(l) : 'value');
    if (keys.length === 1) return l[keys[0]!]!;
    const name = l['__name__'] && !common.has('__name__') ? l['__name__'] : '';
    return `${name}${name ? ' ' : ''}${keys.map((k) => `${k}=${l[k]}`).join(' ')}`;
  });
}

/** Exemplars of a histogram are kept with its buckets, whichever part of it is asked for. */
export function exemplarSource(expr: string): string {
  return expr.replace(/([a-zA-Z_:][a-zA-Z0-9_:]*_(?:seconds|bytes|milliseconds|duration))_(?:count|sum)\b/g, '$1_bucket');
}

export function formatLabels(l: Labels): string {
  const inner = Object.keys(l)
    .filter((k) => k !== '__name__')
    .sort()
    .map((k) => `${k}="${escapeString(l[k]!)}"`)
    .join(', ');
  return `${l['__name__'] ?? ''}${inner ? `{${inner}}` : l['__name__'] ? '' : '{}'}`;
}
