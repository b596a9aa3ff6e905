/** What the services pages ask: the calls between services, failures, versions. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { latest } from '@/app/golden';
import type { GoldenState } from '@/app/golden';
import { shortName } from '@/app/golden-view';
import { queryInstant, queryRange } from '@/core/api/prometheus';
import { traceMetrics } from '@/core/api/tempo';
import { tracesForService } from '@/core/context/correlate';
import { buildGraph } from '@/core/services/graph';
import type { Graph, Known, Sample } from '@/core/services/graph';
import { niceStep } from '@/core/time/range';
import type { Range } from '@/core/time/parse';
import type { ChartMark } from '@/viz/chart';

const calls = 'traces_service_graph_request_total';
const failures = 'traces_service_graph_request_failed_total';
const durations = 'traces_service_graph_request_server_seconds_bucket';

export interface GraphState {
  graph: Graph;
  pending: boolean;
  fetching: boolean;
  error: unknown;
  /** False when no service-graph metrics exist in the window. */
  measured: boolean;
}

/** The service map over the range; `golden` adds what the services say about themselves. */
export function useServiceGraph(range: Range, golden: GoldenState | undefined): GraphState {
  const window = `${Math.max(60, Math.round((range.to - range.from) / 1000))}s`;
  const q = useQuery({
    queryKey: ['service-graph', range.from, range.to],
    queryFn: async ({ signal }) => {
      const by = 'client, server, connection_type';
      const [a, b, c, d] = await Promise.all([
        queryInstant(`sum by (${by}) (rate(${calls}[${window}]))`, range.to, signal),
        queryInstant(`sum by (${by}) (rate(${failures}[${window}]))`, range.to, signal),
        queryInstant(`histogram_quantile(0.95, sum by (le, ${by}) (rate(${durations}[${window}])))`, range.to, signal),
        // The namespace is in front of the name in the label job.
        queryInstant('group by (job) ({__name__=~"target_info|http_server_request_duration_seconds_count|rpc_server_call_duration_seconds_count", job=~".+/.+"})', range.to, signal),
      ]);
      return [a, b, c, d].map((r) => r.series.map((s): Sample => ({ labels: s.labels, value: s.values[0] ?? NaN })));
    },
    placeholderData: keepPreviousData,
    retry: false,
  });
  const graph = useMemo(() => {
    const [a = [], b = [], c = [], jobs = []] = q.data ?? [];
    const namespaces = new Map(jobs.map((s) => [shortName(s.labels['job'] ?? ''), (s.labels['job'] ?? '').replace(/\/[^/]*$/, '')]));
    const known = new Map<string, Known>();
    for (const g of golden?.rows ?? []) {
      const slash = g.name.lastIndexOf('/');
      known.set(shortName(g.name), { namespace: slash > 0 ? g.name.slice(0, slash) : (namespaces.get(g.name) ?? ''), rate: latest(g.rate) ?? 0, errors: latest(g.errors) ?? 0, p95: latest(g.p95) });
    }
    return buildGraph(a, b, c, known);
  }, [q.data, golden?.rows]);
  return { graph, pending: q.isPending, fetching: q.isFetching, error: q.error, measured: graph.edges.length > 0 };
}

export interface Failure {
  name: string;
  /** The message, with what looks like an identifier left out. */
  message: string;
  count: number;
}

/** The most frequent failures of a service: where and with which message. */
export function useTopErrors(service: string, range: Range): { failures: Failure[]; pending: boolean; error: unknown } {
  const q = useQuery({
    queryKey: ['top-errors', service, range.from, range.to],
    queryFn: async ({ signal }) => {
      const step = Math.max(1, Math.ceil((range.to - range.from) / 1000));
      const r = await traceMetrics(`${tracesForService(service, 'status = error')} | count_over_time() by (name, statusMessage)`, range, step, signal);
      const merged = new Map<string, Failure>();
      for (const s of r.series) {
        const f: Failure = { name: s.labels['name'] ?? '', message: mask(clean(s.labels['statusMessage'])), count: s.values.reduce((a, b) => a + b, 0) };
        const key = `${f.name}\n${f.message}`;
        f.count += merged.get(key)?.count ?? 0;
        if (f.count > 0) merged.set(key, f);
      }
      return [...merged.values()]
        .sort((a, b) => b.count - a.count)
        .slice(0, 10);
    },
    placeholderData: keepPreviousData,
    retry: false,
  });
  return { failures: q.data ?? [], pending: q.isPending, error: q.error };
}

/** Takes ids and numbers out of a message, so that messages of one kind count together. */
export const mask = (m: string) => m.replace(/\b\w*[0-9a-f]{6,}\w*\b|\d{4,}/gi, '…');

/** The regular expression that finds the messages of a mask. */
export const unmask = (m: string) => m.split('…').map((p) => p.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*');

const clean = (m: string | undefined) => (!m || m === 'nil' || m === '<nil>' ? '' : m);

/** When a version of the service appeared for the first time in the range. */
export function useDeploys(matcher: string, range: Range): ChartMark[] {
  const step = niceStep(range, 120);
  const q = useQuery({
    queryKey: ['deploys', matcher, range.from, range.to],
    queryFn: ({ signal }) => queryRange(`count by (service_version) (target_info{${matcher}})`, range, step, 50, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  return useMemo(() => {
    const list = (q.data?.series ?? []).filter((s) => s.labels['service_version'] && s.times.length > 0);
    // One that was there from the beginning was not deployed in this range.
    return list.map((s) => ({ time: s.times[0]! * 1000, label: s.labels['service_version']! })).filter((m) => m.time > range.from + 2 * step * 1000);
  }, [q.data, range.from, step]);
}

export interface Objective {
  title: string;
  /** The share that must be good. */
  target: number;
  good: number | undefined;
  /** Share of the budget that is left, negative when overspent. */
  left: number | undefined;
}

/** The default objectives, judged over the range: 99% of requests succeed, 99% take less than half a second. */
export function useObjectives(golden: GoldenState, matcher: string, range: Range): Objective[] {
  const window = `${Math.max(60, Math.round((range.to - range.from) / 1000))}s`;
  const q = useQuery({
    queryKey: ['slo-latency', matcher, range.from, range.to],
    queryFn: async ({ signal }) => {
      const of = (metric: string, extra = '') => `sum(increase(${metric}{${matcher}${extra}}[${window}]))`;
      const m = ['http_server_request_duration_seconds', 'rpc_server_call_duration_seconds', 'messaging_process_duration_seconds'];
      const r = await queryInstant(m.map((x) => `(${of(`${x}_bucket`, ', le="0.5"')} / ${of(`${x}_count`)})`).join(' or '), range.to, signal);
      return r.series[0]?.values[0];
    },
    placeholderData: keepPreviousData,
    retry: false,
  });
  let total = 0;
  let failed = 0;
  for (const g of golden.rows) {
    g.rate.forEach((r, i) => {
      if (!Number.isFinite(r)) return;
      total += r;
      failed += r * (Number.isFinite(g.errors[i]!) ? g.errors[i]! : 0);
    });
  }
  const objective = (title: string, good: number | undefined): Objective => {
    const known = good !== undefined && Number.isFinite(good);
    return { title, target: 0.99, good: known ? good : undefined, left: known ? 1 - (1 - good) / 0.01 : undefined };
  };
  return [objective('Requests that succeed', total > 0 ? 1 - failed / total : undefined), objective('Requests under 500 ms', q.data)];
}
