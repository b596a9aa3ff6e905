/** A trace as a flame graph: spans of the same service and name under the same path are one box. */
import { childrenOf } from './tree';
import type { TraceTree } from './tree';

export interface FlameNode {
  name: string;
  service: number;
  depth: number;
  /** Left end and width as shares of the whole. */
  x: number;
  w: number;
  count: number;
  errors: number;
  /** Milliseconds, summed over the spans. */
  total: number;
  self: number;
  /** The slowest span of the box. */
  row: number;
  children: FlameNode[];
}

/** Builds the boxes below the top-level spans; every box is at most as wide as its parent. */
export function buildFlame(t: TraceTree): FlameNode[] {
  const top: number[] = [];
  for (let r = 0; r < t.size; r += t.descendants[r]! + 1) top.push(r);
  const roots = group(t, top, 0);
  place(roots, 0, 1);
  const work = [...roots];
  const rows = new Map<FlameNode, number[]>();
  for (const r of roots) rows.set(r, top.filter((x) => t.name[x] === r.name && t.service[x] === r.service));
  while (work.length > 0) {
    const n = work.pop()!;
    const members = rows.get(n)!;
    rows.delete(n);
    const below: number[] = [];
    for (const m of members) for (const c of childrenOf(t, m)) below.push(c);
    if (below.length === 0) continue;
    const byKey = new Map<string, number[]>();
    for (const c of below) {
      const key = `${t.service[c]}\n${t.name[c]}`;
      const list = byKey.get(key);
      if (list) list.push(c);
      else byKey.set(key, [c]);
    }
    n.children = group(t, below, n.depth + 1);
    place(n.children, n.x, n.w, n.total);
    for (const c of n.children) {
      rows.set(c, byKey.get(`${c.service}\n${c.name}`)!);
      work.push(c);
    }
  }
  return roots;
}

function group(t: TraceTree, list: number[], depth: number): FlameNode[] {
  const out = new Map<string, FlameNode>();
  for (const r of list) {
    const key = `${t.service[r]}\n${t.name[r]}`;
    let n = out.get(key);
    if (!n) out.set(key, (n = { name: t.name[r]!, service: t.service[r]!, depth, x: 0, w: 0, count: 0, errors: 0, total: 0, self: 0, row: r, children: [] }));
    n.count++;
    n.errors += t.error[r]!;
    n.total += t.duration[r]!;
    n.self += t.self[r]!;
    if (t.duration[r]! > t.duration[n.row]!) n.row = r;
  }
  return [...out.values()].sort((a, b) => b.total - a.total);
}

/** Children that ran side by side may together have taken longer than their parent: then they share its width. */
function place(list: FlameNode[], x: number, w: number, parent?: number): void {
  const sum = list.reduce((n, f) => n + f.total, 0);
  const whole = Math.max(parent ?? 0, sum) || 1;
  let at = x;
  for (const f of list) {
    f.x = at;
    f.w = (f.total / whole) * w;
    at += f.w;
  }
}

/** All boxes at or below the given ones that are at least `least` wide. */
export function flatten(roots: FlameNode[], least: number): FlameNode[] {
  const out: FlameNode[] = [];
  const work = [...roots];
  while (work.length > 0) {
    const n = work.pop()!;
    if (n.w < least) continue;
    out.push(n);
    for (const c of n.children) work.push(c);
  }
  return out;
}
