/** Where panels stand: rows folded or open, panels and rows repeated for each value of a variable. */
import type { GridPos, Panel } from './model';
import { all } from './variables';
import type { Resolved } from './variables';
import type { Values } from './template';

export interface Placed {
  key: string;
  panel: Panel;
  grid: GridPos;
  /** The values of this repetition. */
  scope: Values;
  /** Rows: whether it is folded. */
  folded: boolean;
}

const columns = 24;

function repetitions(name: string | undefined, variables: Resolved[]): { scope: Values; id: string }[] {
  const r = name ? variables.find((v) => v.variable.name === name) : undefined;
  if (!r || !name) return [{ scope: {}, id: '' }];
  const values = r.chosen.includes(all) ? r.options.map((o) => o.value) : r.chosen;
  if (values.length === 0) return [{ scope: {}, id: '' }];
  return values.map((v) => ({ id: `·${v}`, scope: { [name]: { values: [v], text: r.options.find((o) => o.value === v)?.text ?? v, multi: r.value.multi } } }));
}

/** Places all panels. `toggled` has the ids of rows that the user folded or opened. */
export function layout(panels: Panel[], variables: Resolved[], toggled: ReadonlySet<string>): Placed[] {
  const out: Placed[] = [];
  // Sections: what is before the first row, then each row with what it holds.
  let shift = 0;
  const sorted = [...panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
  for (let i = 0; i < sorted.length; ) {
    const head = sorted[i]!;
    let children: Panel[] = [];
    let j = i;
    if (head.type === 'row') {
      j = i + 1;
      if (head.collapsed || head.panels.length > 0) children = head.panels;
      else while (j < sorted.length && sorted[j]!.type !== 'row') children.push(sorted[j++]!);
      for (const rep of repetitions(head.repeat, variables)) {
        const key = `${head.id}${rep.id}`;
        const folded = head.collapsed !== toggled.has(key);
        const y = head.grid.y + shift;
        out.push({ key, panel: head, grid: { x: 0, y, w: columns, h: 1 }, scope: rep.scope, folded });
        let used = 1;
        if (!folded) used += place(out, children, variables, rep.scope, rep.id, y + 1, head.grid.y + 1);
        shift = y + used - head.grid.y;
      }
      // What follows keeps its distance from the row as it was.
      const bottom = Math.max(head.grid.y + 1, ...(head.collapsed ? [] : children.map((c) => c.grid.y + c.grid.h)));
      shift = shift + head.grid.y - bottom;
      i = j;
    } else {
      const loose: Panel[] = [];
      while (j < sorted.length && sorted[j]!.type !== 'row') loose.push(sorted[j++]!);
      const top = head.grid.y;
      const used = place(out, loose, variables, {}, '', top + shift, top);
      const bottom = Math.max(...loose.map((p) => p.grid.y + p.grid.h));
      shift += used - (bottom - top);
      i = j;
    }
  }
  return apart(out);
}

const overlap = (a: GridPos, b: GridPos): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Panels that stand on each other, as hand-written JSON may have them, move down. */
function apart(list: Placed[]): Placed[] {
  const done: Placed[] = [];
  for (const p of [...list].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x)) {
    for (let hit = done.find((o) => overlap(o.grid, p.grid)); hit; hit = done.find((o) => overlap(o.grid, p.grid))) p.grid = { ...p.grid, y: hit.grid.y + hit.grid.h };
    done.push(p);
  }
  return list;
}

/** Places panels of one section with its top moved from `from` to `to`; returns the height used. */
function place(out: Placed[], panels: Panel[], variables: Resolved[], scope: Values, suffix: string, to: number, from: number): number {
  let extra = 0;
  let bottom = 0;
  const list = [...panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
  const tops = list.map((p) => p.grid.y);
  // Panels inside a folded row may keep the place of an older layout: begin where the first of them is.
  const first = list.length > 0 && (tops[0]! < from || tops[0]! > from + 200) ? tops[0]! : from;
  list.forEach((p, n) => {
    const reps = repetitions(scope[p.repeat ?? ''] ? undefined : p.repeat, variables);
    const y = p.grid.y - first + to + extra;
    if (reps.length === 1 && reps[0]!.id === '') {
      out.push({ key: `${p.id}${suffix}`, panel: p, grid: { ...p.grid, y }, scope, folded: false });
      bottom = Math.max(bottom, y + p.grid.h);
      return;
    }
    const perRow = p.repeatVertical ? 1 : Math.max(1, Math.min(p.maxPerRow, reps.length));
    const w = p.repeatVertical ? p.grid.w : Math.floor(columns / perRow);
    reps.forEach((rep, k) => {
      const at: GridPos = { x: p.repeatVertical ? p.grid.x : (k % perRow) * w, y: y + Math.floor(k / perRow) * p.grid.h, w, h: p.grid.h };
      out.push({ key: `${p.id}${suffix}${rep.id}`, panel: p, grid: at, scope: { ...scope, ...rep.scope }, folded: false });
      bottom = Math.max(bottom, at.y + at.h);
    });
    const rows = Math.ceil(reps.length / perRow);
    // Only what begins below moves down.
    if (rows > 1 && (n === list.length - 1 || list[n + 1]!.grid.y > p.grid.y)) extra += (rows - 1) * p.grid.h;
  });
  return Math.max(0, bottom - to);
}

/** All panels, those inside rows included. */
export const flat = (panels: Panel[]): Panel[] => panels.flatMap((p) => (p.type === 'row' ? [p, ...p.panels] : [p]));
