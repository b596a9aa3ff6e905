/** The Loki HTTP API. */
import { ApiError, getJSON } from './http';
import type { Cost } from './http';
import { escapeString, toSeries } from './prometheus';
import type { Labels, Series } from './prometheus';
import type { Range } from '../time/parse';

/** An entry before it becomes a row. `meta` is structured metadata, `parsed` what the query extracted. */
export interface RawEntry {
  ns: string;
  line: string;
  stream: Labels;
  meta: Labels;
  parsed: Labels;
}

export interface LokiStats {
  bytes?: number;
  lines?: number;
  seconds?: number;
}

export type LogResult =
  | { kind: 'logs'; entries: RawEntry[]; warnings: string[]; cost: Cost; stats: LokiStats }
  | { kind: 'metric'; series: Series[]; warnings: string[]; cost: Cost; stats: LokiStats };

type RawValue = [string, string, { structuredMetadata?: Labels; parsed?: Labels }?];

export interface RawStream {
  stream: Labels;
  values: RawValue[];
}

interface Envelope {
  status: string;
  warnings?: string[];
  data: {
    resultType: 'streams' | 'matrix' | 'vector' | 'scalar';
    result: unknown;
    stats?: { summary?: { totalBytesProcessed?: number; totalLinesProcessed?: number; execTime?: number } };
  };
}

const none: Labels = {};

export function entriesOf(streams: RawStream[]): RawEntry[] {
  const out: RawEntry[] = [];
  for (const s of streams) {
    for (const [ns, line, extra] of s.values) {
      out.push({ ns, line, stream: s.stream, meta: extra?.structuredMetadata ?? none, parsed: extra?.parsed ?? none });
    }
  }
  return out;
}

/** Orders nanosecond texts without losing digits. */
export function compareNs(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

const ns = (ms: number) => `${Math.round(ms)}000000`;

export interface LogQuery {
  query: string;
  range: Range;
  limit: number;
  direction?: 'backward' | 'forward';
  step?: number;
}

export async function queryLogs(q: LogQuery, signal?: AbortSignal): Promise<LogResult> {
  const { body, cost } = await getJSON<Envelope>(
    '/loki/api/v1/query_range',
    { query: q.query, start: ns(q.range.from), end: ns(q.range.to), limit: q.limit, direction: q.direction ?? 'backward', step: q.step },
    signal,
    { 'X-Loki-Response-Encoding-Flags': 'categorize-labels' },
  );
  const sum = body.data.stats?.summary;
  const stats: LokiStats = {};
  if (sum?.totalBytesProcessed !== undefined) stats.bytes = sum.totalBytesProcessed;
  if (sum?.totalLinesProcessed !== undefined) stats.lines = sum.totalLinesProcessed;
  if (sum?.execTime !== undefined) stats.seconds = sum.execTime;
  const warnings = body.warnings ?? [];
  if (body.data.resultType === 'streams') {
    const entries = entriesOf(body.data.result as RawStream[]);
    const sign = q.direction === 'forward' ? 1 : -1;
    entries.sort((a, b) => sign * compareNs(a.ns, b.ns));
    return { kind: 'logs', entries, warnings, cost, stats };
  }
  return { kind: 'metric', series: toSeries({ resultType: body.data.resultType, result: body.data.result }), warnings, cost, stats };
}

export async function lokiLabels(r: Range, signal?: AbortSignal): Promise<string[]> {
  const { body } = await getJSON<{ data?: string[] }>('/loki/api/v1/labels', { start: ns(r.from), end: ns(r.to) }, signal);
  return body.data ?? [];
}

export async function lokiLabelValues(label: string, r: Range, query?: string, signal?: AbortSignal): Promise<string[]> {
  const { body } = await getJSON<{ data?: string[] }>(
    `/loki/api/v1/label/${encodeURIComponent(label)}/values`,
    { start: ns(r.from), end: ns(r.to), query },
    signal,
  );
  return body.data ?? [];
}

export interface LogPattern {
  pattern: string;
  level: string;
  /** Seconds and counts. */
  times: Float64Array;
  counts: Float64Array;
  total: number;
}

/** The line patterns of the streams that a selector matches, the most frequent first; undefined when the server keeps none. */
export async function logPatterns(selector: string, r: Range, step: number, signal?: AbortSignal): Promise<LogPattern[] | undefined> {
  let body: { data?: { pattern: string; level?: string; samples: [number, number][] }[] };
  try {
    ({ body } = await getJSON<typeof body>('/loki/api/v1/patterns', { query: selector, start: ns(r.from), end: ns(r.to), step: `${step}s` }, signal));
  } catch (err) {
    if (err instanceof ApiError && err.status === 404) return undefined;
    throw err;
  }
  return (body.data ?? [])
    .map((p) => ({
      pattern: p.pattern,
      level: p.level ?? '',
      times: Float64Array.from(p.samples, (x) => x[0]),
      counts: Float64Array.from(p.samples, (x) => x[1]),
      total: p.samples.reduce((n, x) => n + x[1], 0),
    }))
    .sort((a, b) => b.total - a.total);
}

/** Bytes by the values of a label, the largest first. */
export async function logVolume(label: string, r: Range, limit: number, signal?: AbortSignal): Promise<{ value: string; bytes: number }[]> {
  const { body } = await getJSON<{ data?: { result?: { metric: Labels; value: [number, string] }[] } }>(
    '/loki/api/v1/index/volume',
    { query: `{${label}=~".+"}`, targetLabels: label, start: ns(r.from), end: ns(r.to), limit },
    signal,
  );
  return (body.data?.result ?? []).map((x) => ({ value: x.metric[label] ?? '', bytes: Number(x.value[1]) })).sort((a, b) => b.bytes - a.bytes);
}

/** How many streams, lines and bytes a selector matches. */
export async function logStats(selector: string, r: Range, signal?: AbortSignal): Promise<{ streams: number; entries: number; bytes: number }> {
  return (await getJSON<{ streams: number; entries: number; bytes: number }>('/loki/api/v1/index/stats', { query: selector, start: ns(r.from), end: ns(r.to) }, signal)).body;
}

interface RawContextEntry {
  time: string;
  line: string;
  metadata?: Labels;
}

/** The entries around one in its own stream, whatever a query would leave out, oldest first. `self` is its place, or -1. */
export async function logContext(e: RawEntry, each: number, signal?: AbortSignal): Promise<{ entries: RawEntry[]; self: number }> {
  const stream = e.stream;
  const selector = `{${Object.entries(stream)
    .map(([k, v]) => `${k}="${escapeString(v)}"`)
    .join(', ')}}`;
  const { body } = await getJSON<{ entry: RawContextEntry | null; before: RawContextEntry[]; after: RawContextEntry[] }>(
    '/api/pharos/v1/logs/context',
    { stream: selector, time: e.ns, line: e.line.length < 2000 ? e.line : undefined, before: each, after: each },
    signal,
  );
  const list = [...body.before, ...(body.entry ? [body.entry] : []), ...body.after];
  // A query that rewrites lines has another text than the store: then the time has to do.
  const self = body.entry ? body.before.length : list.map((x) => x.time).lastIndexOf(e.ns);
  return { entries: list.map((x) => ({ ns: x.time, line: x.line, stream, meta: x.metadata ?? none, parsed: none })), self };
}

/** What one selector of a query would read. */
export interface LogRead {
  selector: string;
  streams: number;
  blocks: number;
  entries: number;
  bytes: number;
  stopsAtLimit: boolean;
  pushedDown?: string[];
}

/** What a query would read; nothing is read. */
export async function explainLogs(q: LogQuery, signal?: AbortSignal): Promise<{ query: string; reads: LogRead[]; totalBytes: number }> {
  return (
    await getJSON<{ data: { query: string; reads: LogRead[]; totalBytes: number } }>(
      '/loki/api/v1/query_range',
      { query: q.query, start: ns(q.range.from), end: ns(q.range.to), limit: q.limit, direction: q.direction ?? 'backward', step: q.step, explain: 1 },
      signal,
    )
  ).body.data;
}

/** The address of the live tail for a query. */
export function tailURL(query: string, startMs: number, limit: number): string {
  const base = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
  return `${base}/loki/api/v1/tail?${new URLSearchParams({ query, start: ns(startMs), limit: String(limit) })}`;
}

export interface TailFrame {
  streams?: RawStream[];
  dropped_entries?: unknown[] | null;
}
