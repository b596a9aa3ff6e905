/** The Tempo HTTP API. */
import { getJSON } from './http';
import type { Cost } from './http';
import type { OtlpTrace } from '../trace/otlp';
import type { Range } from '../time/parse';

export interface TraceSummary {
  traceID: string;
  rootServiceName: string;
  rootTraceName: string;
  /** Milliseconds. */
  start: number;
  durationMs: number;
  spans: number;
  errors: number;
  matched: number;
  services: string[];
}

interface RawSummary {
  traceID: string;
  rootServiceName?: string;
  rootTraceName?: string;
  startTimeUnixNano?: string;
  durationMs?: number;
  spanSets?: { matched?: number }[];
  spanSet?: { matched?: number };
  serviceStats?: Record<string, { spanCount?: number; errorCount?: number }>;
}

export interface SearchResult {
  traces: TraceSummary[];
  cost: Cost;
  inspectedBytes?: number;
  inspectedTraces?: number;
}

export function toSummary(t: RawSummary): TraceSummary {
  let spans = 0;
  let errors = 0;
  const services: string[] = [];
  for (const [name, s] of Object.entries(t.serviceStats ?? {})) {
    spans += s.spanCount ?? 0;
    errors += s.errorCount ?? 0;
    services.push(name);
  }
  const sets = t.spanSets ?? (t.spanSet ? [t.spanSet] : []);
  return {
    traceID: t.traceID,
    rootServiceName: t.rootServiceName ?? '',
    rootTraceName: t.rootTraceName ?? '',
    start: Number(t.startTimeUnixNano ?? 0) / 1e6,
    durationMs: t.durationMs ?? 0,
    spans,
    errors,
    matched: sets.reduce((n, s) => n + (s.matched ?? 0), 0),
    services: services.sort(),
  };
}

export async function searchTraces(q: string, r: Range, limit: number, signal?: AbortSignal): Promise<SearchResult> {
  const { body, cost } = await getJSON<{ traces?: RawSummary[]; metrics?: { inspectedBytes?: string; inspectedTraces?: number } }>(
    '/api/search',
    { q, start: Math.floor(r.from / 1000), end: Math.ceil(r.to / 1000), limit, spss: 1 },
    signal,
  );
  const out: SearchResult = { traces: (body.traces ?? []).map(toSummary), cost };
  if (body.metrics?.inspectedBytes !== undefined) out.inspectedBytes = Number(body.metrics.inspectedBytes);
  if (body.metrics?.inspectedTraces !== undefined) out.inspectedTraces = body.metrics.inspectedTraces;
  out.traces.sort((a, b) => b.start - a.start);
  return out;
}

/** What one pipeline of a query would read. */
export interface TraceRead {
  query: string;
  /** What the store evaluates: any of them. */
  pushedDown?: string[];
  blocks: number;
  rowGroups: number;
  prunedRowGroups: number;
  spans: number;
  filterBytes: number;
  rowBytes: number;
  readsResultsAgain: boolean;
}

export async function explainTraces(q: string, r: Range, signal?: AbortSignal): Promise<{ query: string; reads: TraceRead[]; totalBytes: number }> {
  const params = { q, start: Math.floor(r.from / 1000), end: Math.ceil(r.to / 1000), explain: 1 };
  return (await getJSON<{ query: string; reads: TraceRead[]; totalBytes: number }>('/api/search', params, signal)).body;
}

export interface TraceReply {
  trace: OtlpTrace;
  partial?: string;
  cost: Cost;
}

export async function fetchTrace(id: string, signal?: AbortSignal): Promise<TraceReply> {
  const { body, cost } = await getJSON<{ trace?: OtlpTrace; status?: string; message?: string }>(`/api/v2/traces/${encodeURIComponent(id)}`, {}, signal);
  const out: TraceReply = { trace: body.trace ?? {}, cost };
  if (body.status === 'PARTIAL') out.partial = body.message ?? 'This trace is incomplete.';
  return out;
}

export interface TagScope {
  name: string;
  tags: string[];
}

export async function traceTags(r: Range, signal?: AbortSignal): Promise<TagScope[]> {
  const { body } = await getJSON<{ scopes?: TagScope[] }>('/api/v2/search/tags', { start: Math.floor(r.from / 1000), end: Math.ceil(r.to / 1000) }, signal);
  return body.scopes ?? [];
}

export interface TagValue {
  type: string;
  value?: string;
}

export async function traceTagValues(tag: string, r: Range, signal?: AbortSignal): Promise<TagValue[]> {
  const { body } = await getJSON<{ tagValues?: TagValue[] }>(
    `/api/v2/search/tag/${encodeURIComponent(tag)}/values`,
    { start: Math.floor(r.from / 1000), end: Math.ceil(r.to / 1000), limit: 500 },
    signal,
  );
  return body.tagValues ?? [];
}

export interface Heatmap {
  /** Upper ends of the duration buckets in milliseconds, ascending; each begins at half its end. */
  buckets: number[];
  /** Ends of the time cells in milliseconds. */
  times: number[];
  /** Counts by time, then bucket. */
  counts: Float64Array[];
  max: number;
}

interface RawMetricSeries {
  labels: { key: string; value?: { doubleValue?: number } }[];
  samples?: { timestampMs: string; value?: number }[];
}

/** Turns the series of `histogram_over_time(duration)` into a grid. */
export function toHeatmap(series: RawMetricSeries[]): Heatmap {
  const rows = series
    .map((s) => ({ end: (s.labels.find((l) => l.key === '__bucket')?.value?.doubleValue ?? NaN) * 1000, samples: s.samples ?? [] }))
    .filter((r) => Number.isFinite(r.end))
    .sort((a, b) => a.end - b.end);
  const times = [...new Set(rows.flatMap((r) => r.samples.map((x) => Number(x.timestampMs))))].sort((a, b) => a - b);
  const index = new Map(times.map((t, i) => [t, i]));
  const counts = times.map(() => new Float64Array(rows.length));
  let max = 0;
  rows.forEach((r, b) => {
    for (const x of r.samples) {
      const v = x.value ?? 0;
      counts[index.get(Number(x.timestampMs))!]![b] = v;
      max = Math.max(max, v);
    }
  });
  return { buckets: rows.map((r) => r.end), times, counts, max };
}

/** Durations over time of what the query matches; of root spans when it matches everything. */
export async function durationHeatmap(q: string, r: Range, step: number, signal?: AbortSignal): Promise<Heatmap> {
  const base = /^\s*\{\s*\}\s*$/.test(q) ? '{ nestedSetParent < 0 }' : q;
  const start = Math.floor(r.from / 1000 / step) * step;
  const end = Math.ceil(r.to / 1000 / step) * step;
  const { body } = await getJSON<{ series?: RawMetricSeries[] }>('/api/metrics/query_range', { q: `${base} | histogram_over_time(duration)`, start, end, step: `${step}s`, exemplars: 0 }, signal);
  return toHeatmap(body.series ?? []);
}

export interface TraceSeries {
  labels: Record<string, string>;
  /** Seconds. */
  times: Float64Array;
  values: Float64Array;
}

interface RawLabel {
  key: string;
  value?: { stringValue?: string; intValue?: string | number; doubleValue?: number; boolValue?: boolean };
}

/** A TraceQL metrics query over time. */
export async function traceMetrics(q: string, r: Range, step: number, signal?: AbortSignal): Promise<{ series: TraceSeries[]; cost: Cost }> {
  const start = Math.floor(r.from / 1000 / step) * step;
  const end = Math.ceil(r.to / 1000 / step) * step;
  const { body, cost } = await getJSON<{ series?: { labels?: RawLabel[]; samples?: { timestampMs: string; value?: number }[] }[] }>('/api/metrics/query_range', { q, start, end, step: `${step}s`, exemplars: 0 }, signal);
  const series = (body.series ?? []).map((s) => ({
    labels: Object.fromEntries((s.labels ?? []).map((l) => [l.key, String(l.value?.stringValue ?? l.value?.intValue ?? l.value?.doubleValue ?? l.value?.boolValue ?? '')])),
    times: Float64Array.from(s.samples ?? [], (x) => Number(x.timestampMs) / 1000),
    values: Float64Array.from(s.samples ?? [], (x) => x.value ?? 0),
  }));
  return { series, cost };
}
