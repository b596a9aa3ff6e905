/** The service map as data: nodes and edges from the service-graph metrics, narrowed and grouped for drawing. */

export interface Edge {
  from: string;
  to: string;
  /** Calls per second. */
  rate: number;
  /** Share of failed calls, between 0 and 1. */
  errors: number;
  /** Seconds. */
  p95: number | undefined;
  /** Kind of connection: empty for a plain call, else database, messaging_system or virtual_node. */
  kind: string;
}

export interface Node {
  id: string;
  namespace: string;
  kind: 'service' | 'database' | 'queue' | 'external' | 'group';
  /** Requests per second that it answered; of a source, that it made. */
  rate: number;
  errors: number;
  p95: number | undefined;
  /** The services inside a group. */
  members: string[];
}

export interface Graph {
  nodes: Node[];
  edges: Edge[];
}

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** The labels that a service-graph series carries for its two ends. */
const edgeKey = (l: Record<string, string>) => `${l['client'] ?? ''}\n${l['server'] ?? ''}\n${l['connection_type'] ?? ''}`;

/** What is known about a service from its own metrics, by name. */
export interface Known {
  namespace: string;
  rate: number;
  errors: number;
  p95: number | undefined;
}

export function buildGraph(requests: Sample[], failed: Sample[], p95: Sample[], known: ReadonlyMap<string, Known>): Graph {
  const failedBy = new Map(failed.map((s) => [edgeKey(s.labels), s.value]));
  const p95By = new Map(p95.map((s) => [edgeKey(s.labels), s.value]));
  const edges: Edge[] = [];
  for (const s of requests) {
    const from = s.labels['client'] ?? '';
    const to = s.labels['server'] ?? '';
    if (!from || !to || !(s.value > 0)) continue;
    const q = p95By.get(edgeKey(s.labels));
    edges.push({ from, to, rate: s.value, errors: Math.min(1, (failedBy.get(edgeKey(s.labels)) ?? 0) / s.value), p95: q !== undefined && Number.isFinite(q) ? q : undefined, kind: s.labels['connection_type'] ?? '' });
  }
  const ids = new Set([...edges.flatMap((e) => [e.from, e.to]), ...known.keys()]);
  const nodes = [...ids].sort().map((id): Node => nodeOf(id, edges, known.get(id)));
  return { nodes, edges };
}

function nodeOf(id: string, edges: Edge[], k: Known | undefined): Node {
  const into = edges.filter((e) => e.to === id);
  const out = edges.filter((e) => e.from === id);
  const some = into.length > 0 ? into : out;
  const rate = some.reduce((n, e) => n + e.rate, 0);
  const failed = into.reduce((n, e) => n + e.rate * e.errors, 0);
  // What sends no metrics of its own is told from the kind of all its connections.
  const kinds = new Set([...into, ...out].map((e) => e.kind));
  const only = kinds.size === 1 ? [...kinds][0] : '';
  const kind = k ? 'service' : only === 'database' ? 'database' : only === 'messaging_system' ? 'queue' : only === 'virtual_node' ? 'external' : 'service';
  const worst = into.reduce<number | undefined>((m, e) => (e.p95 !== undefined && (m === undefined || e.p95 > m) ? e.p95 : m), undefined);
  return { id, namespace: k?.namespace ?? '', kind, rate: k?.rate ?? rate, errors: k?.errors ?? (into.length > 0 && rate > 0 ? failed / rate : 0), p95: k?.p95 ?? worst, members: [] };
}

/** Nodes whose name contains the text, and everything they are connected to directly. */
export function filterGraph(g: Graph, text: string): Graph {
  const needle = text.trim().toLowerCase();
  if (!needle) return g;
  const hit = new Set(g.nodes.filter((n) => n.id.toLowerCase().includes(needle) || n.namespace.toLowerCase().includes(needle)).map((n) => n.id));
  return within(g, hit, 1);
}

/** What is reached from a node in n steps, against and along the calls. */
export function focusGraph(g: Graph, id: string, hops: number): Graph {
  return within(g, new Set([id]), hops);
}

function within(g: Graph, start: ReadonlySet<string>, hops: number): Graph {
  const keep = new Set(start);
  let edge: ReadonlySet<string> = start;
  for (let i = 0; i < hops && edge.size > 0; i++) {
    const next = new Set<string>();
    for (const e of g.edges) {
      if (edge.has(e.from) && !keep.has(e.to)) next.add(e.to);
      if (edge.has(e.to) && !keep.has(e.from)) next.add(e.from);
    }
    for (const n of next) keep.add(n);
    edge = next;
  }
  return { nodes: g.nodes.filter((n) => keep.has(n.id)), edges: g.edges.filter((e) => keep.has(e.from) && keep.has(e.to)) };
}

/** From this many nodes on, a map starts grouped. */
export const groupFrom = 150;

/** The group of a node: its namespace, or the first word of its name. */
export function groupOf(n: Node): string {
  return n.namespace || (/^[a-z0-9]+/i.exec(n.id)?.[0] ?? n.id);
}

/** Draws every namespace as one node; those in `open` stay apart. Calls inside a group disappear. */
export function groupGraph(g: Graph, open: ReadonlySet<string>): Graph {
  const target = new Map<string, string>();
  const groups = new Map<string, Node[]>();
  for (const n of g.nodes) {
    const name = groupOf(n);
    if (open.has(name)) target.set(n.id, n.id);
    else {
      target.set(n.id, `group:${name}`);
      groups.set(name, [...(groups.get(name) ?? []), n]);
    }
  }
  const nodes = g.nodes.filter((n) => target.get(n.id) === n.id);
  for (const [name, list] of groups) {
    // A group of one is that one.
    if (list.length === 1) {
      target.set(list[0]!.id, list[0]!.id);
      nodes.push(list[0]!);
      continue;
    }
    const rate = list.reduce((s, n) => s + n.rate, 0);
    nodes.push({
      id: `group:${name}`,
      namespace: name,
      kind: 'group',
      rate,
      errors: rate > 0 ? list.reduce((s, n) => s + n.errors * n.rate, 0) / rate : 0,
      p95: list.reduce<number | undefined>((m, n) => (n.p95 !== undefined && (m === undefined || n.p95 > m) ? n.p95 : m), undefined),
      members: list.map((n) => n.id).sort(),
    });
  }
  const merged = new Map<string, Edge>();
  for (const e of g.edges) {
    const from = target.get(e.from)!;
    const to = target.get(e.to)!;
    if (from === to) continue;
    const key = `${from}\n${to}`;
    const old = merged.get(key);
    if (!old) merged.set(key, { ...e, from, to });
    else {
      const rate = old.rate + e.rate;
      old.errors = rate > 0 ? (old.errors * old.rate + e.errors * e.rate) / rate : 0;
      old.rate = rate;
      if (e.p95 !== undefined && (old.p95 === undefined || e.p95 > old.p95)) old.p95 = e.p95;
    }
  }
  return { nodes, edges: [...merged.values()] };
}
