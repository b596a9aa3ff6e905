/**
 * A trace as columns. Spans stay in arrays in the order they are drawn (depth first, children by start), so that a
 * trace of 100,000 spans costs a few typed arrays and no object per row.
 */
import { attribute, hexId, isError } from './otlp';
import type { OtlpResourceSpans, OtlpSpan, OtlpTrace } from './otlp';

export interface TraceTree {
  id: string;
  size: number;
  /** Epoch nanoseconds of the earliest start. */
  startNs: bigint;
  /** Milliseconds from the earliest start to the latest end. */
  durationMs: number;
  services: string[];
  errors: number;
  depthMax: number;
  /** Index of the span shown as root, -1 for an empty trace. */
  root: number;
  /** Spans whose parent is not in the trace, without the root. */
  orphans: number;

  span: OtlpSpan[];
  resource: OtlpResourceSpans[];
  scope: string[];
  name: string[];
  spanId: string[];
  service: Uint16Array;
  depth: Uint16Array;
  /** Index of the parent or -1. */
  parent: Int32Array;
  /** Number of spans below this one. */
  descendants: Int32Array;
  /** Milliseconds from the start of the trace. */
  start: Float64Array;
  duration: Float64Array;
  /** Milliseconds not covered by children. */
  self: Float64Array;
  error: Uint8Array;
  /** 1 where the span is on the critical path. */
  critical: Uint8Array;
}

const nanoText = (v: string | number | undefined) => String(v ?? '0');

/** Difference of two epoch nanosecond texts in milliseconds, exact to the nanosecond. */
function diffMs(a: string, secBase: number, nsBase: number): number {
  const sec = Number(a.slice(0, -9) || '0');
  const ns = Number(a.slice(-9));
  return (sec - secBase) * 1000 + (ns - nsBase) / 1e6;
}

interface Flat {
  span: OtlpSpan[];
  resource: OtlpResourceSpans[];
  scope: string[];
}

function flatten(t: OtlpTrace): Flat {
  const out: Flat = { span: [], resource: [], scope: [] };
  for (const rs of t.resourceSpans ?? t.batches ?? []) {
    for (const ss of rs.scopeSpans ?? []) {
      for (const s of ss.spans ?? []) {
        out.span.push(s);
        out.resource.push(rs);
        out.scope.push(ss.scope?.name ?? '');
      }
    }
  }
  return out;
}

/** Builds the columns of a trace. Missing parents and cycles leave a span at the top level. */
export function buildTree(t: OtlpTrace): TraceTree {
  const flat = flatten(t);
  const n = flat.span.length;
  // Ids of one answer are all written the same way, so that parents are found without decoding.
  const byId = new Map<string, number>();
  for (let i = 0; i < n; i++) {
    const id = flat.span[i]!.spanId ?? '';
    if (!byId.has(id)) byId.set(id, i);
  }

  let base = '';
  for (const s of flat.span) {
    const text = nanoText(s.startTimeUnixNano);
    if (base === '' || text.length < base.length || (text.length === base.length && text < base)) base = text;
  }
  const secBase = Number(base.slice(0, -9) || '0');
  const nsBase = Number(base.slice(-9) || '0');
  const start = new Float64Array(n);
  const duration = new Float64Array(n);
  const parent = new Int32Array(n).fill(-1);
  for (let i = 0; i < n; i++) {
    const s = flat.span[i]!;
    start[i] = diffMs(nanoText(s.startTimeUnixNano), secBase, nsBase);
    duration[i] = Math.max(0, diffMs(nanoText(s.endTimeUnixNano ?? s.startTimeUnixNano), secBase, nsBase) - start[i]!);
    const p = s.parentSpanId ? byId.get(s.parentSpanId) : undefined;
    if (p !== undefined && p !== i) parent[i] = p;
  }
  return order(flat, parent, start, duration, base);
}

function order(flat: Flat, parentOf: Int32Array, startOf: Float64Array, durationOf: Float64Array, base: string): TraceTree {
  const n = flat.span.length;
  const children: number[][] = Array.from({ length: n }, () => []);
  const tops: number[] = [];
  for (let i = 0; i < n; i++) (parentOf[i] === -1 ? tops : children[parentOf[i]!]!).push(i);
  const byStart = (a: number, b: number) => startOf[a]! - startOf[b]! || durationOf[b]! - durationOf[a]! || a - b;
  // The real root first, whatever clock skew says.
  tops.sort((a, b) => Number(Boolean(flat.span[a]!.parentSpanId)) - Number(Boolean(flat.span[b]!.parentSpanId)) || byStart(a, b));
  const rank = new Int32Array(n).fill(-1);
  const depthOf = new Uint16Array(n);
  const sequence: number[] = [];
  const walk = (from: number) => {
    const stack = [from];
    while (stack.length > 0) {
      const i = stack.pop()!;
      if (rank[i] !== -1) continue;
      rank[i] = sequence.length;
      sequence.push(i);
      const kids = children[i]!.sort(byStart);
      for (let k = kids.length - 1; k >= 0; k--) {
        depthOf[kids[k]!] = Math.min(depthOf[i]! + 1, 65535);
        stack.push(kids[k]!);
      }
    }
  };
  for (const i of tops) walk(i);
  for (let i = 0; i < n; i++) {
    if (rank[i] === -1) {
      // Only members of a cycle are left: break it here.
      parentOf[i] = -1;
      depthOf[i] = 0;
      walk(i);
    }
  }
  return columns(flat, parentOf, startOf, durationOf, base, sequence, rank, depthOf);
}

function columns(flat: Flat, parentOf: Int32Array, startOf: Float64Array, durationOf: Float64Array, base: string, sequence: number[], rank: Int32Array, depthOf: Uint16Array): TraceTree {
  const n = sequence.length;
  const serviceIndex = new Map<string, number>();
  const tree: TraceTree = {
    id: hexId(flat.span[0]?.traceId),
    size: n,
    startNs: BigInt(base || '0'),
    durationMs: 0,
    services: [],
    errors: 0,
    depthMax: 0,
    root: n > 0 ? 0 : -1,
    orphans: 0,
    span: sequence.map((i) => flat.span[i]!),
    resource: sequence.map((i) => flat.resource[i]!),
    scope: sequence.map((i) => flat.scope[i]!),
    name: sequence.map((i) => flat.span[i]!.name ?? ''),
    spanId: sequence.map((i) => hexId(flat.span[i]!.spanId)),
    service: new Uint16Array(n),
    depth: new Uint16Array(n),
    parent: new Int32Array(n),
    descendants: new Int32Array(n),
    start: new Float64Array(n),
    duration: new Float64Array(n),
    self: new Float64Array(n),
    error: new Uint8Array(n),
    critical: new Uint8Array(n),
  };
  const resourceService = new Map<OtlpResourceSpans, number>();
  for (let r = 0; r < n; r++) {
    const i = sequence[r]!;
    const rs = tree.resource[r]!;
    let svc = resourceService.get(rs);
    if (svc === undefined) {
      const name = attribute(rs.resource?.attributes, 'service.name') ?? 'unknown';
      svc = serviceIndex.get(name) ?? serviceIndex.size;
      if (!serviceIndex.has(name)) serviceIndex.set(name, svc);
      resourceService.set(rs, svc);
    }
    tree.service[r] = svc;
    tree.depth[r] = depthOf[i]!;
    tree.parent[r] = parentOf[i] === -1 ? -1 : rank[parentOf[i]!]!;
    tree.start[r] = startOf[i]!;
    tree.duration[r] = durationOf[i]!;
    tree.error[r] = isError(tree.span[r]!.status) ? 1 : 0;
    tree.errors += tree.error[r]!;
    tree.depthMax = Math.max(tree.depthMax, depthOf[i]!);
    tree.durationMs = Math.max(tree.durationMs, startOf[i]! + durationOf[i]!);
    if (tree.parent[r] === -1 && r > 0) tree.orphans++;
  }
  tree.services = [...serviceIndex.keys()];
  for (let r = n - 1; r > 0; r--) {
    const p = tree.parent[r]!;
    if (p >= 0) tree.descendants[p]! += tree.descendants[r]! + 1;
  }
  selfTimes(tree);
  markCritical(tree);
  return tree;
}

/** Direct children of a span, in drawing order. */
export function childrenOf(t: TraceTree, row: number): number[] {
  const out: number[] = [];
  const end = row + t.descendants[row]!;
  for (let c = row + 1; c <= end; c += t.descendants[c]! + 1) out.push(c);
  return out;
}

function selfTimes(t: TraceTree): void {
  for (let r = 0; r < t.size; r++) {
    const s = t.start[r]!;
    const e = s + t.duration[r]!;
    let covered = 0;
    let reach = s;
    const last = r + t.descendants[r]!;
    for (let c = r + 1; c <= last; c += t.descendants[c]! + 1) {
      const from = Math.max(t.start[c]!, reach);
      const to = Math.min(t.start[c]! + t.duration[c]!, e);
      if (to > from) {
        covered += to - from;
        reach = to;
      }
    }
    t.self[r] = Math.max(0, t.duration[r]! - covered);
  }
}

/** Marks the chain of spans that the end of the trace waited for. */
function markCritical(t: TraceTree): void {
  if (t.root < 0) return;
  const stack = [t.root];
  while (stack.length > 0) {
    const r = stack.pop()!;
    t.critical[r] = 1;
    // Backwards from the end: the last child to finish, then the last to finish before that one began.
    let until = t.start[r]! + t.duration[r]!;
    const kids = childrenOf(t, r).sort((a, b) => t.start[b]! + t.duration[b]! - (t.start[a]! + t.duration[a]!));
    for (const c of kids) {
      const end = t.start[c]! + t.duration[c]!;
      if (end <= until + 1e-9 && end > t.start[r]!) {
        stack.push(c);
        until = t.start[c]!;
      }
    }
  }
}

/** The span that the trace spent most of its waiting in: of those on the critical path, the one with most time of its own. */
export function bottleneck(t: TraceTree): number {
  let best = -1;
  for (let r = 0; r < t.size; r++) if (t.critical[r] === 1 && (best < 0 || t.self[r]! > t.self[best]!)) best = r;
  return best;
}

/** The failed span that has no failed span below it and ended first: where an error began. */
export function deepestFailure(t: TraceTree): number {
  let best = -1;
  const end = (r: number) => t.start[r]! + t.duration[r]!;
  // Backwards, so that the failed row met last is the first below.
  let next = t.size;
  for (let r = t.size - 1; r >= 0; r--) {
    if (t.error[r] !== 1) continue;
    if (next > r + t.descendants[r]! && (best < 0 || end(r) <= end(best))) best = r;
    next = r;
  }
  return best;
}

/** The rows to draw when some spans are collapsed. */
export function visibleRows(t: TraceTree, collapsed: ReadonlySet<number>): Int32Array {
  const out = new Int32Array(t.size);
  let k = 0;
  for (let r = 0; r < t.size; r++) {
    out[k++] = r;
    if (collapsed.has(r)) r += t.descendants[r]!;
  }
  return out.subarray(0, k);
}

/** Rows whose name, service, id or attributes contain the text. */
export function findSpans(t: TraceTree, text: string): number[] {
  const needle = text.trim().toLowerCase();
  if (!needle) return [];
  const out: number[] = [];
  for (let r = 0; r < t.size; r++) {
    if (
      t.name[r]!.toLowerCase().includes(needle) ||
      t.services[t.service[r]!]!.toLowerCase().includes(needle) ||
      t.spanId[r] === needle ||
      (needle === 'error' && t.error[r] === 1) ||
      (t.span[r]!.attributes ?? []).some((a) => a.key.toLowerCase().includes(needle) || (a.value?.stringValue ?? String(a.value?.intValue ?? '')).toLowerCase().includes(needle))
    ) {
      out.push(r);
    }
  }
  return out;
}
