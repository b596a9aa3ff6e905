/** The Prometheus HTTP API. */
import { getJSON } from './http';
import type { Cost } from './http';
import type { Range } from '../time/parse';

export type Labels = Record<string, string>;

export interface Series {
  labels: Labels;
  /** Seconds. */
  times: Float64Array;
  values: Float64Array;
}

export interface Exemplar {
  labels: Labels;
  seriesLabels: Labels;
  value: number;
  /** Milliseconds. */
  time: number;
}

export interface QueryStats {
  samples?: number;
  seriesTotal?: number;
}

export interface MatrixResult {
  series: Series[];
  warnings: string[];
  cost: Cost;
  stats: QueryStats;
  /** The lowest, middle and highest value of all series, also of those that were left out. */
  envelope?: Envelope3;
}

export interface Envelope3 {
  min: Float64Array;
  median: Float64Array;
  max: Float64Array;
  /** Seconds. */
  times: Float64Array;
}

interface RawStats {
  samples?: { totalQueryableSamples?: number };
}

interface Envelope<T> {
  status: string;
  data: T;
  warnings?: string[];
  infos?: string[];
}

interface RawResult {
  resultType: 'matrix' | 'vector' | 'scalar' | 'string';
  result: unknown;
  stats?: RawStats;
  total_series?: number;
  envelope?: Record<'min' | 'median' | 'max', RawPoint[]>;
}

type RawPoint = [number, string];
interface RawSeries {
  metric: Labels;
  values?: RawPoint[];
  value?: RawPoint;
  histograms?: [number, { count: string; sum: string }][];
  histogram?: [number, { count: string; sum: string }];
}

/** Reads `"1.5"`, `"NaN"`, `"+Inf"`. */
export function number(text: string): number {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}

/** Turns any Prometheus result into series; a scalar becomes one series without labels. */
export function toSeries(r: RawResult): Series[] {
  if (r.resultType === 'scalar' || r.resultType === 'string') {
    const [t, v] = r.result as RawPoint;
    return [{ labels: {}, times: Float64Array.of(t), values: Float64Array.of(number(v)) }];
  }
  return (r.result as RawSeries[]).map((s) => {
    const points = s.values ?? (s.value ? [s.value] : []);
    if (points.length === 0) {
      // A native histogram has no single value: show how many observations it holds.
      const hs = s.histograms ?? (s.histogram ? [s.histogram] : []);
      return { labels: s.metric, times: Float64Array.from(hs, (h) => h[0]), values: Float64Array.from(hs, (h) => Number(h[1].count)) };
    }
    const times = new Float64Array(points.length);
    const values = new Float64Array(points.length);
    for (let i = 0; i < points.length; i++) {
      times[i] = points[i]![0];
      values[i] = number(points[i]![1]);
    }
    return { labels: s.metric, times, values };
  });
}

async function run(path: string, params: Record<string, string | number | undefined>, signal?: AbortSignal): Promise<MatrixResult> {
  const { body, cost } = await getJSON<Envelope<RawResult>>(path, { ...params, stats: 'all' }, signal);
  const stats: QueryStats = {};
  const samples = body.data.stats?.samples?.totalQueryableSamples;
  if (samples !== undefined) stats.samples = samples;
  if (body.data.total_series !== undefined) stats.seriesTotal = body.data.total_series;
  const out: MatrixResult = { series: toSeries(body.data), warnings: [...(body.warnings ?? []), ...(body.infos ?? [])], cost, stats };
  const e = body.data.envelope;
  if (e && e.max.length > 0) {
    const column = (p: RawPoint[]) => Float64Array.from(p, (x) => number(x[1]));
    out.envelope = { times: Float64Array.from(e.max, (x) => x[0]), min: column(e.min), median: column(e.median), max: column(e.max) };
  }
  return out;
}

/** The languages that the Prometheus API answers in; none means PromQL. */
export type Dialect = 'promql' | 'metricsql';

export function queryRange(expr: string, r: Range, step: number, limit?: number, signal?: AbortSignal, dialect?: Dialect): Promise<MatrixResult> {
  // Aligned to the step, so that a refresh moves points instead of changing them.
  const start = Math.floor(r.from / 1000 / step) * step;
  const end = Math.ceil(r.to / 1000 / step) * step;
  return run('/api/v1/query_range', { query: expr, start, end, step, limit, dialect }, signal);
}

/** With a limit: the first series of all, and what all of them together look like. */
export function queryCapped(expr: string, r: Range, step: number, limit: number, signal?: AbortSignal): Promise<MatrixResult> {
  const start = Math.floor(r.from / 1000 / step) * step;
  const end = Math.ceil(r.to / 1000 / step) * step;
  return run('/api/v1/query_range', { query: expr, start, end, step, limit, envelope: 1 }, signal);
}

/** One part of a query and how it would be evaluated. */
export interface PlanNode {
  expr: string;
  how?: string;
  steps?: number;
  price?: Price;
  args?: PlanNode[];
}

export interface Price {
  series: number;
  chunks: number;
  bytes: number;
}

/** How a query would be evaluated and what that would cost; nothing is run. */
export async function explainQuery(expr: string, r: Range, step: number, signal?: AbortSignal): Promise<{ plan: PlanNode; price: Price }> {
  const start = Math.floor(r.from / 1000 / step) * step;
  const end = Math.ceil(r.to / 1000 / step) * step;
  return (await getJSON<Envelope<{ plan: PlanNode; price: Price }>>('/api/v1/query_range', { query: expr, start, end, step, explain: 1 }, signal)).body.data;
}

export function queryInstant(expr: string, atMs: number, signal?: AbortSignal, dialect?: Dialect): Promise<MatrixResult> {
  return run('/api/v1/query', { query: expr, time: atMs / 1000, dialect }, signal);
}

export async function queryExemplars(expr: string, r: Range, signal?: AbortSignal): Promise<Exemplar[]> {
  const { body } = await getJSON<Envelope<{ seriesLabels: Labels; exemplars: { labels: Labels; value: string; timestamp: number }[] }[]>>(
    '/api/v1/query_exemplars',
    { query: expr, start: r.from / 1000, end: r.to / 1000 },
    signal,
  );
  const out: Exemplar[] = [];
  for (const s of body.data ?? []) {
    for (const e of s.exemplars) out.push({ labels: e.labels, seriesLabels: s.seriesLabels, value: number(String(e.value)), time: e.timestamp * 1000 });
  }
  return out;
}

export interface Metadata {
  type: string;
  help: string;
  unit: string;
}

export async function metadata(signal?: AbortSignal): Promise<Map<string, Metadata>> {
  const { body } = await getJSON<Envelope<Record<string, Metadata[]>>>('/api/v1/metadata', { limit: 5000, limit_per_metric: 1 }, signal);
  const out = new Map<string, Metadata>();
  for (const [name, list] of Object.entries(body.data ?? {})) if (list[0]) out.set(name, list[0]);
  return out;
}

/** Escapes text for use inside a PromQL regular expression in double quotes. */
export function escapeRegex(s: string): string {
  return s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\\/g, '\\\\').replace(/"/g, '\\"');
}

/** Escapes text for a double-quoted PromQL, LogQL or TraceQL string. */
export function escapeString(s: string): string {
  return s.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

/** Metric names that contain the words of the search text, in order. */
export async function metricNames(search: string, r: Range, limit: number, signal?: AbortSignal, matchers = ''): Promise<string[]> {
  const words = search.trim().split(/\s+/).filter(Boolean).map(escapeRegex);
  const parts = [words.length > 0 && `__name__=~"(?i).*${words.join('.*')}.*"`, matchers].filter(Boolean);
  const match = parts.length > 0 ? [`{${parts.join(', ')}}`] : undefined;
  const { body } = await getJSON<Envelope<string[]>>(
    '/api/v1/label/__name__/values',
    { start: r.from / 1000, end: r.to / 1000, limit, ...(match ? { 'match[]': match } : {}) },
    signal,
  );
  return body.data ?? [];
}

export async function labelNames(matcher: string | undefined, r: Range, signal?: AbortSignal): Promise<string[]> {
  const { body } = await getJSON<Envelope<string[]>>('/api/v1/labels', { start: r.from / 1000, end: r.to / 1000, 'match[]': matcher }, signal);
  return body.data ?? [];
}

export async function labelValues(label: string, matcher: string | undefined, r: Range, signal?: AbortSignal): Promise<string[]> {
  const { body } = await getJSON<Envelope<string[]>>(
    `/api/v1/label/${encodeURIComponent(label)}/values`,
    { start: r.from / 1000, end: r.to / 1000, 'match[]': matcher, limit: 500 },
    signal,
  );
  return body.data ?? [];
}

export interface NameCount {
  name: string;
  value: number;
  /** How much it has grown since the day before. */
  change?: number;
}

export interface Cardinality {
  headStats: { numSeries: number; numLabelPairs: number };
  seriesCountByMetricName: NameCount[];
  labelValueCountByLabelName: NameCount[];
  seriesCountByLabelValuePair: NameCount[];
}

export async function cardinality(limit: number, signal?: AbortSignal): Promise<Cardinality> {
  return (await getJSON<Envelope<Cardinality>>('/api/v1/status/tsdb', { limit }, signal)).body.data;
}

/** The same counts of today's series, with their change since yesterday. */
export async function cardinalityChange(limit: number, signal?: AbortSignal): Promise<Cardinality> {
  return (await getJSON<Envelope<Cardinality>>('/api/v1/status/tsdb', { limit, change: 'true' }, signal)).body.data;
}

/** False when all series are new: a change then says nothing. */
export const hasYesterday = (c: Cardinality): boolean => c.seriesCountByMetricName.some((m) => m.change !== m.value);

export interface UnusedMetrics {
  names: string[];
  /** Milliseconds; queries from before are not known. */
  since: number;
  /** Metrics with data, used or not. */
  total: number;
}

/** The metrics that no query has read since the counting began. */
export async function unusedMetrics(limit: number, signal?: AbortSignal): Promise<UnusedMetrics> {
  const { data } = (
    await getJSON<Envelope<{ statsCollectedSince: number; statsCollectedRecordsTotal: number; records: { metricName: string }[] }>>('/api/v1/status/metric_names_stats', { le: 0, limit }, signal)
  ).body;
  return { names: data.records.map((r) => r.metricName), since: data.statsCollectedSince * 1000, total: data.statsCollectedRecordsTotal };
}

export interface Target {
  scrapePool: string;
  scrapeUrl: string;
  labels: Labels;
  health: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
}

export async function scrapeTargets(signal?: AbortSignal): Promise<Target[]> {
  return (await getJSON<Envelope<{ activeTargets?: Target[] }>>('/api/v1/targets', { state: 'active' }, signal)).body.data.activeTargets ?? [];
}

export async function configText(signal?: AbortSignal): Promise<string> {
  return (await getJSON<Envelope<{ yaml: string }>>('/api/v1/status/config', {}, signal)).body.data.yaml;
}

export async function runtimeInfo(signal?: AbortSignal): Promise<Record<string, string | number | boolean>> {
  return (await getJSON<Envelope<Record<string, string | number | boolean>>>('/api/v1/status/runtimeinfo', {}, signal)).body.data;
}

export async function buildInfo(signal?: AbortSignal): Promise<Record<string, string>> {
  return (await getJSON<Envelope<Record<string, string>>>('/api/v1/status/buildinfo', {}, signal)).body.data;
}
