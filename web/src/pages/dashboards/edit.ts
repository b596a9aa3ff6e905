/** Changes to a dashboard's JSON. Everything that is not touched stays as it is. */
import { equal, parseText, patchText } from '@/grafana/jsontext';
import { migrate } from '@/grafana/migrate';
import { arr, num, obj } from '@/grafana/model';
import type { GridPos, Json } from '@/grafana/model';

export interface Draft {
  /** Today's JSON, as edited. */
  json: Json;
  /** A whole text that was typed in place of the saved one. */
  text?: string;
}

/**
 * The text of an edited dashboard: the one it began with, with the changes and every other byte as it was. Its id, uid
 * and version are those of the text unless `identity` has others; undefined takes one out.
 */
export function draftText(text: string, edited: Json, identity: Json = {}): string {
  const before = migrate(obj(parseText(text)));
  const after: Json = { ...edited };
  for (const k of ['id', 'uid', 'version']) after[k] = k in identity ? identity[k] : before[k];
  const out = patchText(text, before, after);
  // Where a text of an old schema and a change do not go together, today's form is saved as a whole.
  return equal(migrate(obj(parseText(out))), after) ? out : JSON.stringify(after, null, 2);
}

const all = (d: Json): Json[] => arr(d['panels']).map(obj).flatMap((p) => [p, ...arr(p['panels']).map(obj)]);

export function changePanel(d: Json, id: number, raw: Json): void {
  const swap = (list: unknown[]): unknown[] => list.map((p) => (num(obj(p)['id']) === id ? raw : Array.isArray(obj(p)['panels']) ? { ...obj(p), panels: swap(arr(obj(p)['panels'])) } : p));
  d['panels'] = swap(arr(d['panels']));
}

export function removePanel(d: Json, id: number): void {
  const without = (list: unknown[]): unknown[] => list.filter((p) => num(obj(p)['id']) !== id).map((p) => (Array.isArray(obj(p)['panels']) ? { ...obj(p), panels: without(arr(obj(p)['panels'])) } : p));
  d['panels'] = without(arr(d['panels']));
}

const gridOf = (p: Json): GridPos => {
  const g = obj(p['gridPos']);
  return { x: num(g['x']) ?? 0, y: num(g['y']) ?? 0, w: num(g['w']) ?? 12, h: num(g['h']) ?? 8 };
};

const overlap = (a: GridPos, b: GridPos): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Puts a panel to a place; what is in its way moves down, then everything moves up as far as it can. */
export function movePanel(d: Json, id: number, to: GridPos): void {
  const list = arr(d['panels']).map(obj);
  const moved = list.find((p) => num(p['id']) === id);
  if (!moved) return;
  moved['gridPos'] = to;
  const items = list.map((p) => ({ p, g: p === moved ? to : gridOf(p), first: p === moved }));
  items.sort((a, b) => a.g.y - b.g.y || (a.first ? -1 : b.first ? 1 : 0) || a.g.x - b.g.x);
  const done: GridPos[] = [];
  let floor = 0;
  for (const i of items) {
    const g = { ...i.g };
    if (i.p['type'] === 'row') {
      // A row is a line that nothing crosses.
      g.y = Math.max(floor, ...done.map((o) => o.y + o.h));
      floor = g.y + 1;
    } else {
      g.y = Math.max(g.y, floor);
      while (done.some((o) => overlap(o, g))) g.y++;
      while (g.y > floor && !done.some((o) => overlap(o, { ...g, y: g.y - 1 }))) g.y--;
    }
    done.push(g);
    i.p['gridPos'] = g;
  }
  d['panels'] = list;
}

/** Adds an empty chart at the top and returns its id. */
export function addPanel(d: Json): number {
  const id = Math.max(0, ...all(d).map((p) => num(p['id']) ?? 0)) + 1;
  const panels = arr(d['panels']).map(obj);
  for (const p of panels) {
    const g = gridOf(p);
    p['gridPos'] = { ...g, y: g.y + 8 };
  }
  d['panels'] = [
    { id, type: 'timeseries', title: 'New panel', gridPos: { x: 0, y: 0, w: 12, h: 8 }, datasource: { type: 'prometheus', uid: 'pharos-metrics' }, targets: [{ refId: 'A', expr: '' }], fieldConfig: { defaults: { custom: { fillOpacity: 10 } }, overrides: [] }, options: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true }, tooltip: { mode: 'multi', sort: 'desc' } } },
    ...panels,
  ];
  return id;
}
