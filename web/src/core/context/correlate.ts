/** Links between signals: what to ask where, and over which window. */
import { escapeString } from '../api/prometheus';
import type { Labels } from '../api/prometheus';
import type { RangeText } from '../time/parse';
import type { Search } from '../url/search';

/** Milliseconds added on both sides when jumping from one moment to another signal. */
export const pad = 5 * 60_000;

/** The window around a moment or an interval, as URL range. */
export function around(fromMs: number, toMs = fromMs, padding = pad): RangeText {
  return { from: String(Math.floor(fromMs - padding)), to: String(Math.ceil(toMs + padding)) };
}

/** The trace id in the labels of an exemplar. */
export function exemplarTrace(labels: Labels): string | undefined {
  return labels['trace_id'] ?? labels['traceID'] ?? labels['traceId'] ?? labels['TraceID'];
}

/** The service of a metric's labels: OTLP puts `namespace/name` or `name` into job. */
export function metricService(labels: Labels): string | undefined {
  return labels['service_name'] ?? labels['service'] ?? labels['job']?.replace(/^.*\//, '');
}

/** LogQL for the lines of a trace, optionally of one service or span. */
export function logsForTrace(traceId: string, opts: { service?: string | undefined; spanId?: string | undefined } = {}): string {
  const selector = opts.service ? `{service_name="${escapeString(opts.service)}"}` : '{service_name=~".+"}';
  return `${selector} | trace_id="${escapeString(traceId)}"${opts.spanId ? ` | span_id="${escapeString(opts.spanId)}"` : ''}`;
}

export function logsForService(service: string): string {
  return `{service_name="${escapeString(service)}"}`;
}

export function tracesForService(service: string, extra = ''): string {
  return `{ resource.service.name = "${escapeString(service)}"${extra ? ` && ${extra}` : ''} }`;
}

/** A matcher on the label that carries the service in metrics. */
export function metricMatcher(service: string, label: string): string {
  if (label === 'job') return `job=~"(.+/)?${escapeString(service.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))}"`;
  return `${label}="${escapeString(service)}"`;
}

// The duration histograms of the OpenTelemetry semantic conventions, by an attribute that such spans carry.
const durationMetrics: { attribute: RegExp; kinds: string[]; metric: string; by: string }[] = [
  { attribute: /^http\.(request\.method|method|route)$/, kinds: ['server'], metric: 'http_server_request_duration_seconds', by: 'http_route' },
  { attribute: /^http\.(request\.method|method)$/, kinds: ['client'], metric: 'http_client_request_duration_seconds', by: 'server_address' },
  { attribute: /^rpc\./, kinds: ['server'], metric: 'rpc_server_call_duration_seconds', by: 'rpc_method' },
  { attribute: /^rpc\./, kinds: ['client'], metric: 'rpc_client_call_duration_seconds', by: 'rpc_method' },
  { attribute: /^db\./, kinds: ['client', 'internal'], metric: 'db_client_operation_duration_seconds', by: 'db_operation_name' },
  { attribute: /^messaging\./, kinds: ['consumer'], metric: 'messaging_process_duration_seconds', by: 'messaging_destination_name' },
  { attribute: /^messaging\./, kinds: ['producer'], metric: 'messaging_client_operation_duration_seconds', by: 'messaging_destination_name' },
];

/** Where the metrics of a span's service are: durations of the same kind of work, else everything the service sends. */
export function metricsForSpan(kind: string, attributes: string[], matcher: string): Search {
  const m = durationMetrics.find((d) => d.kinds.includes(kind) && attributes.some((a) => d.attribute.test(a)));
  if (!m) return { match: matcher };
  return { q: `histogram_quantile(0.95, sum by (le, ${m.by}) (rate(${m.metric}_bucket{${matcher}}[$__rate_interval])))` };
}
