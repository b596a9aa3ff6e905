/**
 * The PromQL of golden signals. Services answer HTTP, RPC or messages; a service counts by the first of these that it
 * has, so that a worker behind a queue stands in the same table as a web server.
 */

export interface GoldenQuery {
  rate: string;
  errors: string;
  p50: string;
  p95: string;
  p99: string;
  /** Selects the exemplars of all durations. */
  exemplars: string;
}

interface Source {
  metric: string;
  /** The label that names the operation. */
  operation: string;
  /** Matchers of failures; any of them counts. */
  failures: string[];
}

// The gRPC codes that are the server's fault, as OpenTelemetry defines it, by name and by number.
const grpc = 'UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS|2|4|12|13|14|15';

const sources: Source[] = [
  { metric: 'http_server_request_duration_seconds', operation: 'http_route', failures: ['http_response_status_code=~"5.."'] },
  { metric: 'rpc_server_call_duration_seconds', operation: 'rpc_method', failures: [`rpc_grpc_status_code=~"${grpc}"`, `rpc_response_status_code=~"${grpc}"`] },
  { metric: 'messaging_process_duration_seconds', operation: 'messaging_destination_name', failures: ['error_type=~".+"'] },
];

const braces = (...matchers: string[]) => {
  const inner = matchers.filter(Boolean).join(', ');
  return inner ? `{${inner}}` : '';
};

/** Golden signals of every service: grouped by the label that names the service. */
export function goldenByService(label: string): GoldenQuery {
  const all = (leg: (s: Source) => string) => sources.map(leg).join(' or ');
  const quantile = (q: number) => all((s) => `histogram_quantile(${q}, sum by (le, ${label}) (rate(${s.metric}_bucket[$__rate_interval])))`);
  return {
    rate: all((s) => `sum by (${label}) (rate(${s.metric}_count[$__rate_interval]))`),
    errors: all((s) => `sum by (${label}) (${s.failures.map((f) => `rate(${s.metric}_count${braces(f)}[$__rate_interval])`).join(' or ')})`),
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    exemplars: all((s) => `${s.metric}_bucket`),
  };
}

/** Golden signals of one service by operation; the operation is in the label `operation`. */
export function goldenByOperation(matchers: string): GoldenQuery {
  const named = (s: Source, expr: string) => `label_replace(${expr}, "operation", "$1", "${s.operation}", "(.+)")`;
  const all = (leg: (s: Source) => string) => sources.map((s) => named(s, leg(s))).join(' or ');
  const quantile = (q: number) => all((s) => `histogram_quantile(${q}, sum by (le, ${s.operation}) (rate(${s.metric}_bucket${braces(matchers)}[$__rate_interval])))`);
  return {
    rate: all((s) => `sum by (${s.operation}) (rate(${s.metric}_count${braces(matchers)}[$__rate_interval]))`),
    errors: all((s) => `sum by (${s.operation}) (${s.failures.map((f) => `rate(${s.metric}_count${braces(matchers, f)}[$__rate_interval])`).join(' or ')})`),
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    exemplars: sources.map((s) => `${s.metric}_bucket${braces(matchers)}`).join(' or '),
  };
}
