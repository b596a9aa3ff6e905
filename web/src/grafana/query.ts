/** Asking Pharos for a panel's targets. At most six requests are under way at once. */
import { ApiError, getJSON } from '@/core/api/http';
import { entriesOf, queryLogs } from '@/core/api/loki';
import type { RawStream } from '@/core/api/loki';
import { number, queryInstant, queryRange, toSeries } from '@/core/api/prometheus';
import type { Dialect, Labels, Series } from '@/core/api/prometheus';
import { fetchTrace, searchTraces } from '@/core/api/tempo';
import { attribute } from '@/core/trace/otlp';
import { parseDuration } from '@/core/time/parse';
import type { Range } from '@/core/time/parse';
import { field, seriesFrames, tableFrame } from './frames';
import type { Frame } from './frames';
import { arr, num, obj, str } from './model';
import type { Panel, Target, Variable } from './model';
import { sourceOf } from './sources';
import { interpolate, intervalFor, intervals, scrapeInterval } from './template';
import type { Values } from './template';
import { addFilters } from './variables';
import type { Filter } from './variables';

export interface PanelData {
  frames: Frame[];
  /** Warnings of the server. */
  warnings: string[];
  errors: { refId: string; message: string }[];
  /** What could not be asked, as chips. */
  unsupported: string[];
  ms: number;
  bytes: number;
  /** What was asked, for the inspector. */
  asked: { refId: string; source: string; text: string; step: number }[];
}

export interface Ask {
  panel: Panel;
  range: Range;
  values: Values;
  variables: Variable[];
  filters: Filter[];
  /** Pixels of the panel: no more points than these are asked for. */
  width: number;
  /** Answers of other panels, for the data source "-- Dashboard --". */
  panelById: (id: number) => Panel | undefined;
}

const seriesLimit = 500;

/** A gate that lets a few through at a time, in order of arrival. */
function gate(limit: number): <T>(run: () => Promise<T>, signal?: AbortSignal) => Promise<T> {
  let active = 0;
  const waiting: (() => void)[] = [];
  return async (run, signal) => {
    if (active >= limit) await new Promise<void>((go) => waiting.push(go));
    active++;
    try {
      signal?.throwIfAborted();
      return await run();
    } finally {
      active--;
      waiting.shift()?.();
    }
  };
}

export const limited = gate(6);

/** The window that a panel looks at, when it has one of its own. */
export function panelRange(p: Panel, r: Range): Range {
  let { from, to } = r;
  const own = p.timeFrom ? parseDuration(p.timeFrom.replace(/^now-/, '')) : undefined;
  if (own) from = to - own;
  const shift = p.timeShift ? parseDuration(p.timeShift) : undefined;
  if (shift) {
    from -= shift;
    to -= shift;
  }
  return { from, to };
}

/** `>10s` and `10s` as milliseconds. */
const least = (text: string | undefined, values: Values): number | undefined => {
  const t = text ? interpolate(text, values, 'raw').replace(/^>/, '').trim() : '';
  return t ? parseDuration(/^\d+$/.test(t) ? `${t}s` : t) : undefined;
};

export async function runPanel(ask: Ask, signal?: AbortSignal): Promise<PanelData> {
  const out: PanelData = { frames: [], warnings: [], errors: [], unsupported: [], ms: 0, bytes: 0, asked: [] };
  const targets = ask.panel.targets.filter((t) => !t.hide);
  const several = targets.length > 1;
  const parts = await Promise.all(targets.map((t) => runTarget(ask, t, several, out, signal)));
  out.frames = parts.flat();
  out.warnings = [...new Set(out.warnings)];
  out.unsupported = [...new Set(out.unsupported)];
  return out;
}

async function runTarget(ask: Ask, t: Target, several: boolean, out: PanelData, signal?: AbortSignal): Promise<Frame[]> {
  const source = sourceOf(t, ask.panel, ask.values, ask.variables);
  if (typeof source === 'object') {
    out.unsupported.push(source.unsupported);
    return [];
  }
  try {
    switch (source) {
      case 'prometheus':
        return await prometheus(ask, t, several, out, signal);
      case 'loki':
        return await loki(ask, t, several, out, signal);
      case 'tempo':
        return await tempo(ask, t, out, signal);
      case 'dashboard': {
        const other = ask.panelById(num(t.raw['panelId']) ?? -1);
        if (!other || other.id === ask.panel.id) throw new Error('The panel whose data this one shows does not exist.');
        const data = await runPanel({ ...ask, panel: other }, signal);
        out.errors.push(...data.errors);
        out.warnings.push(...data.warnings);
        out.asked.push(...data.asked);
        return data.frames;
      }
      default:
        out.unsupported.push('Grafana’s own test data');
        return [];
    }
  } catch (err) {
    if (signal?.aborted) throw err;
    out.errors.push({ refId: t.refId, message: err instanceof Error ? err.message : String(err) });
    return [];
  }
}

interface Window {
  range: Range;
  /** Seconds. */
  step: number;
  values: Values;
}

/** The step of a target and the macros that follow from it. */
export function windowOf(ask: Ask, t: Target): Window {
  const range = panelRange(ask.panel, ask.range);
  const points = Math.max(50, Math.min(ask.panel.maxDataPoints ?? ask.width, 2000));
  const own = least(str(t.raw['interval']), ask.values) ?? least(ask.panel.interval, ask.values);
  const min = own ?? 0;
  let ms = intervalFor(range, points, Math.max(1000, min, Math.min(scrapeInterval, range.to - range.from)));
  // `intervalFactor` comes from old targets and asks for coarser points; their `step` only says what was once computed.
  ms *= Math.max(1, num(t.raw['intervalFactor']) ?? 1);
  return { range, step: ms / 1000, values: { ...ask.values, ...intervals(ms, own ?? scrapeInterval) } };
}

/** Ends with the last whole step: a point whose window has not passed yet would dip. */
function whole(w: Window): Range {
  const ms = w.step * 1000;
  return { from: w.range.from, to: Math.max(w.range.from, Math.floor(w.range.to / ms) * ms) };
}

/** Fills `{{label}}` of a legend. */
export function legend(format: string, labels: Labels): string {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_m, name: string) => labels[name] ?? '');
}

function aliasOf(t: Target, values: Values): (labels: Labels) => string | undefined {
  const format = str(t.raw['legendFormat']) ?? '';
  if (format === '' || format === '__auto') return () => undefined;
  const text = interpolate(format, values, 'text');
  return (labels) => legend(text, labels);
}

async function prometheus(ask: Ask, t: Target, several: boolean, out: PanelData, signal?: AbortSignal): Promise<Frame[]> {
  const raw = str(t.raw['expr']) ?? str(t.raw['query']) ?? '';
  if (raw.trim() === '') return [];
  const w = windowOf(ask, t);
  const expr = addFilters(interpolate(raw, w.values), ask.filters);
  const format = t.raw['format'];
  const instant = t.raw['instant'] === true && t.raw['range'] !== true;
  const asked = { refId: t.refId, source: instant ? 'PromQL, instant' : 'PromQL', text: expr, step: w.step };
  out.asked.push(asked);
  const query = (dialect?: Dialect) => limited(() => (instant ? queryInstant(expr, w.range.to, signal, dialect) : queryRange(expr, whole(w), w.step, seriesLimit, signal, dialect)), signal);
  const answer = await query().catch(async (err: unknown) => {
    // Dashboards made for VictoriaMetrics use what PromQL does not know: WITH, default, topk_max.
    if (!(err instanceof ApiError) || err.status !== 400) throw err;
    const again = await query('metricsql').catch(() => {
      throw err;
    });
    asked.source = asked.source.replace('PromQL', 'MetricsQL');
    return again;
  });
  out.ms = Math.max(out.ms, answer.cost.ms);
  out.bytes += answer.cost.bytes;
  out.warnings.push(...answer.warnings);
  const series = answer.series;
  if (format === 'table') return series.length > 0 ? [tableFrame(series, t.refId, several)] : [];
  if (format === 'heatmap') return heatmapFrames(series, t.refId);
  return seriesFrames(series, t.refId, aliasOf(t, w.values));
}

/** Buckets with cumulative counts become one frame with a column for each bucket. */
export function heatmapFrames(series: Series[], refId: string): Frame[] {
  const sums = new Map<number, Map<number, number>>();
  const times = new Set<number>();
  for (const s of series) {
    const le = number(s.labels['le'] ?? '');
    if (Number.isNaN(le)) continue;
    const row = sums.get(le) ?? new Map<number, number>();
    s.times.forEach((t, i) => {
      times.add(t);
      const v = s.values[i]!;
      if (Number.isFinite(v)) row.set(t, (row.get(t) ?? 0) + v);
    });
    sums.set(le, row);
  }
  if (sums.size === 0) return seriesFrames(series, refId, () => undefined);
  const ts = [...times].sort((a, b) => a - b);
  const les = [...sums.keys()].sort((a, b) => a - b);
  const fields = les.map((le, i) => {
    const below = i > 0 ? sums.get(les[i - 1]!)! : undefined;
    const f = field(le === Infinity ? '+Inf' : String(le), 'number', ts.map((t) => Math.max(0, (sums.get(le)!.get(t) ?? 0) - (below?.get(t) ?? 0))));
    return f;
  });
  return [{ refId, kind: 'heatmap', fields: [field('Time', 'time', ts.map((t) => t * 1000)), ...fields] }];
}

async function loki(ask: Ask, t: Target, several: boolean, out: PanelData, signal?: AbortSignal): Promise<Frame[]> {
  const raw = str(t.raw['expr']) ?? str(t.raw['query']) ?? '';
  if (raw.trim() === '') return [];
  const w = windowOf(ask, t);
  const query = addFilters(interpolate(raw, w.values), ask.filters);
  const instant = t.raw['queryType'] === 'instant' || t.raw['instant'] === true;
  out.asked.push({ refId: t.refId, source: instant ? 'LogQL, instant' : 'LogQL', text: query, step: w.step });
  if (instant && !/^\s*\{/.test(query)) {
    const { body, cost } = await limited(() => getJSON<{ data: { resultType: 'vector' | 'streams'; result: unknown } }>('/loki/api/v1/query', { query, time: `${Math.round(w.range.to)}000000` }, signal), signal);
    out.bytes += cost.bytes;
    if (body.data.resultType === 'streams') return [logFrame(entriesOf(body.data.result as RawStream[]), t.refId)];
    const series = toSeries({ resultType: body.data.resultType, result: body.data.result });
    return ask.panel.type === 'table' ? [tableFrame(series, t.refId, several)] : seriesFrames(series, t.refId, aliasOf(t, w.values));
  }
  const limit = Math.min(num(t.raw['maxLines']) ?? 500, 5000);
  const step = parseDuration(str(t.raw['step']) ?? '');
  const answer = await limited(() => queryLogs({ query, range: /^\s*\{/.test(query) ? w.range : whole(w), limit, step: step ? step / 1000 : w.step, direction: t.raw['direction'] === 'forward' ? 'forward' : 'backward' }, signal), signal);
  out.ms = Math.max(out.ms, answer.cost.ms);
  out.bytes += answer.cost.bytes;
  out.warnings.push(...answer.warnings);
  if (answer.kind === 'logs') return [logFrame(answer.entries, t.refId)];
  return seriesFrames(answer.series, t.refId, aliasOf(t, w.values));
}

function logFrame(entries: ReturnType<typeof entriesOf>, refId: string): Frame {
  return {
    refId,
    entries,
    fields: [
      field('Time', 'time', entries.map((e) => Math.floor(Number(e.ns) / 1e6))),
      field('Line', 'string', entries.map((e) => e.line)),
      field('labels', 'other', entries.map((e) => ({ ...e.stream, ...e.meta, ...e.parsed }))),
    ],
  };
}

/** The TraceQL of Grafana's search form. */
export function searchQuery(filters: unknown): string {
  const parts = arr(filters).map(obj).flatMap((f) => {
    const values = Array.isArray(f['value']) ? f['value'].map(String) : f['value'] === undefined || f['value'] === '' ? [] : [String(f['value'])];
    const tag = str(f['tag']);
    if (!tag || values.length === 0) return [];
    const scope = str(f['scope']);
    const name = scope && scope !== 'intrinsic' ? `${scope === 'unscoped' ? '' : scope}.${tag}` : tag;
    const op = str(f['operator']) ?? '=';
    const text = values.length > 1 ? `"${values.join('|')}"` : f['valueType'] === 'string' || f['valueType'] === undefined ? (/^(status|kind|duration|.*Duration)$/.test(tag) ? values[0]! : JSON.stringify(values[0])) : values[0]!;
    return [`${name}${values.length > 1 && op === '=' ? '=~' : op}${text}`];
  });
  return `{${parts.join(' && ')}}`;
}

interface RawTraceSeries {
  labels: { key: string; value?: Record<string, unknown> }[];
  samples?: { timestampMs: string; value?: number }[];
  promLabels?: string;
}

async function tempo(ask: Ask, t: Target, out: PanelData, signal?: AbortSignal): Promise<Frame[]> {
  const w = windowOf(ask, t);
  const type = str(t.raw['queryType']) ?? '';
  if (type === 'serviceMap' || type === 'dependencyGraph') return serviceMap(w, out, signal);
  const service = str(t.raw['service']);
  const asked = interpolate(str(t.raw['query']) ?? '', w.values);
  const q = type === 'traceqlSearch' || type === 'nativeSearch' ? interpolate(searchQuery(t.raw['filters']), w.values) : type === 'search' && service ? `{ resource.service.name = ${JSON.stringify(interpolate(service, w.values))} }` : asked;
  if (!q) return [];
  out.asked.push({ refId: t.refId, source: 'TraceQL', text: q, step: w.step });
  if (/^[0-9a-f]{16,32}$/i.test(q.trim())) return [await oneTrace(q.trim(), t.refId, out, signal)];
  if (/\|\s*(rate|count_over_time|min_over_time|max_over_time|avg_over_time|sum_over_time|quantile_over_time|histogram_over_time)\s*\(/.test(q)) {
    const { body, cost } = await limited(() => getJSON<{ series?: RawTraceSeries[] }>('/api/metrics/query_range', { q, start: Math.floor(w.range.from / 1000), end: Math.ceil(w.range.to / 1000), step: `${Math.max(1, Math.round(w.step))}s` }, signal), signal);
    out.bytes += cost.bytes;
    const series = (body.series ?? []).map((s): Series => ({
      labels: Object.fromEntries(s.labels.map((l) => [l.key, String(Object.values(l.value ?? {})[0] ?? '')])),
      times: Float64Array.from(s.samples ?? [], (x) => Number(x.timestampMs) / 1000),
      values: Float64Array.from(s.samples ?? [], (x) => x.value ?? 0),
    }));
    return seriesFrames(series, t.refId, aliasOf(t, w.values));
  }
  const answer = await limited(() => searchTraces(q, w.range, num(t.raw['limit']) ?? 20, signal), signal);
  out.bytes += answer.cost.bytes;
  const list = answer.traces;
  const id = field('Trace ID', 'string', list.map((x) => x.traceID));
  id.config.links = [{ title: 'Open trace', url: '/trace/${__value.raw}', newTab: false }];
  const duration = field('Duration', 'number', list.map((x) => x.durationMs));
  duration.config.unit = 'ms';
  return [{ refId: t.refId, kind: 'traces', fields: [id, field('Start time', 'time', list.map((x) => x.start)), field('Service', 'string', list.map((x) => x.rootServiceName)), field('Name', 'string', list.map((x) => x.rootTraceName)), duration, field('Spans', 'number', list.map((x) => x.spans))] }];
}

async function oneTrace(id: string, refId: string, out: PanelData, signal?: AbortSignal): Promise<Frame> {
  const { trace, cost } = await limited(() => fetchTrace(id, signal), signal);
  out.bytes += cost.bytes;
  const spans = (trace.resourceSpans ?? trace.batches ?? []).flatMap((r) =>
    (r.scopeSpans ?? []).flatMap((s) =>
      (s.spans ?? []).map((x) => ({
        service: attribute(r.resource?.attributes, 'service.name') ?? '',
        name: x.name ?? '',
        startMs: Number(x.startTimeUnixNano ?? 0) / 1e6,
        durationMs: (Number(x.endTimeUnixNano ?? 0) - Number(x.startTimeUnixNano ?? 0)) / 1e6,
      })),
    ),
  );
  const duration = field('Duration', 'number', spans.map((s) => s.durationMs));
  duration.config.unit = 'ms';
  const link = field('Trace ID', 'string', spans.map(() => id));
  link.config.links = [{ title: 'Open trace', url: '/trace/${__value.raw}', newTab: false }];
  return { refId, kind: 'traces', fields: [link, field('Start time', 'time', spans.map((s) => s.startMs)), field('Service', 'string', spans.map((s) => s.service)), field('Name', 'string', spans.map((s) => s.name)), duration] };
}

/** Nodes and edges from the service graph's metrics. */
async function serviceMap(w: Window, out: PanelData, signal?: AbortSignal): Promise<Frame[]> {
  const window = `${Math.max(60, Math.round((w.range.to - w.range.from) / 1000))}s`;
  const rate = (m: string) => `sum by (client, server) (rate(${m}[${window}]))`;
  out.asked.push({ refId: 'map', source: 'PromQL, instant', text: rate('traces_service_graph_request_total'), step: w.step });
  const [requests, failed] = await Promise.all(['traces_service_graph_request_total', 'traces_service_graph_request_failed_total'].map((m) => limited(() => queryInstant(rate(m), w.range.to, signal), signal)));
  const edges = requests!.series.filter((s) => (s.values[0] ?? 0) > 0).map((s) => ({ source: s.labels['client'] ?? '', target: s.labels['server'] ?? '', rate: s.values[0]! }));
  const errors = new Map<string, number>();
  for (const s of failed!.series) errors.set(s.labels['server'] ?? '', (errors.get(s.labels['server'] ?? '') ?? 0) + (s.values[0] ?? 0));
  const names = [...new Set(edges.flatMap((e) => [e.source, e.target]))];
  const into = (n: string) => edges.filter((e) => e.target === n).reduce((a, e) => a + e.rate, 0);
  return [
    { refId: 'nodes', kind: 'nodes', fields: [field('id', 'string', names), field('title', 'string', names), field('mainstat', 'number', names.map(into)), field('arc__errors', 'number', names.map((n) => (into(n) > 0 ? (errors.get(n) ?? 0) / into(n) : 0)))] },
    { refId: 'edges', kind: 'edges', fields: [field('id', 'string', edges.map((_, i) => String(i))), field('source', 'string', edges.map((e) => e.source)), field('target', 'string', edges.map((e) => e.target)), field('mainstat', 'number', edges.map((e) => e.rate))] },
  ];
}
