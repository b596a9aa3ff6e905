/** Which services of a trace called which: its own small service map. */
import type { Edge, Graph, Node } from '../services/graph';
import type { TraceTree } from './tree';

export interface ServiceTotals {
  spans: number;
  /** Milliseconds. */
  self: number;
}

export function traceGraph(t: TraceTree): { graph: Graph; totals: Map<string, ServiceTotals> } {
  const totals = new Map<string, ServiceTotals & { errors: number; slowest: number }>();
  const edges = new Map<string, Edge & { failed: number }>();
  for (let r = 0; r < t.size; r++) {
    const name = t.services[t.service[r]!]!;
    let s = totals.get(name);
    if (!s) totals.set(name, (s = { spans: 0, self: 0, errors: 0, slowest: 0 }));
    s.spans++;
    s.self += t.self[r]!;
    s.errors += t.error[r]!;
    s.slowest = Math.max(s.slowest, t.duration[r]!);
    const p = t.parent[r]!;
    if (p < 0 || t.service[p] === t.service[r]) continue;
    const from = t.services[t.service[p]!]!;
    const key = `${from}\n${name}`;
    let e = edges.get(key);
    if (!e) edges.set(key, (e = { from, to: name, rate: 0, errors: 0, p95: 0, kind: '', failed: 0 }));
    e.rate++;
    e.failed += t.error[r]!;
    e.errors = e.failed / e.rate;
    e.p95 = Math.max(e.p95 ?? 0, t.duration[r]! / 1000);
  }
  const nodes = [...totals].map(([id, s]): Node => ({ id, namespace: '', kind: 'service', rate: s.spans, errors: s.errors / s.spans, p95: s.slowest / 1000, members: [] }));
  return { graph: { nodes, edges: [...edges.values()] }, totals };
}
