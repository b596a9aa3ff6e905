/** Putting several tables into one. */
import { field, nameOf, rowsOf } from './frames';
import type { Field, Frame } from './frames';
import { str } from './model';
import type { Json } from './model';

/** Rows of all frames below each other; rows that agree in every shared text column become one. */
export function merge(frames: Frame[]): Frame[] {
  if (frames.length < 2) return frames;
  const series = frames.every((f) => f.kind === 'series');
  const work = series ? frames.map(withLabelColumns) : frames;
  const key = (c: Field) => (c.config.displayName ? c.config.displayName : c.type === 'number' && c.alias ? c.alias : c.name);
  const order: string[] = [];
  const proto = new Map<string, Field>();
  const uses = new Map<string, number>();
  for (const f of work) {
    for (const c of f.fields) {
      const k = key(c);
      uses.set(k, (uses.get(k) ?? 0) + 1);
      if (!proto.has(k)) {
        proto.set(k, c);
        order.push(k);
      }
    }
  }
  const shared = order.filter((k) => uses.get(k) === work.length && proto.get(k)!.type !== 'number');
  const rows = new Map<string, Map<string, unknown>>();
  for (const f of work) {
    const columns = f.fields.map((c) => ({ k: key(c), c }));
    for (let i = 0; i < rowsOf(f); i++) {
      const cells = new Map(columns.map(({ k, c }) => [k, c.values[i]]));
      let id = JSON.stringify(shared.map((k) => cells.get(k) ?? null));
      // Two rows of one table never become one: that would lose a value.
      for (;;) {
        const old = rows.get(id);
        if (!old) {
          rows.set(id, cells);
          break;
        }
        if ([...cells].every(([k, v]) => !old.has(k) || old.get(k) === v)) {
          for (const [k, v] of cells) old.set(k, v);
          break;
        }
        id += '+';
      }
    }
  }
  const list = [...rows.values()];
  const fields = order.map((k) => {
    const p = proto.get(k)!;
    return { ...p, name: k, labels: {}, values: list.map((r) => (r.has(k) ? r.get(k) : null)) };
  });
  return [{ refId: 'merge', fields }];
}

function withLabelColumns(f: Frame): Frame {
  const n = rowsOf(f);
  return { refId: f.refId, fields: f.fields.flatMap((c) => (c.type === 'number' ? [...Object.entries(c.labels).map(([k, v]) => field(k, 'string', new Array(n).fill(v))), { ...c, name: `Value #${c.refId ?? f.refId}`, labels: {} }] : [c])) };
}

/** One wide table with a row for each value of the field that all have. */
export function joinByField(frames: Frame[], o: Json): Frame[] {
  if (frames.length < 2) return frames;
  const by = str(o['byField']);
  const keyOf = (f: Frame) => (by ? f.fields.find((c) => c.name === by || nameOf(c, f, frames) === by) : undefined) ?? f.fields.find((c) => c.type === 'time') ?? f.fields[0];
  const inner = o['mode'] === 'inner';
  const parts = frames.map((f) => ({ f, key: keyOf(f) })).filter((p): p is { f: Frame; key: Field } => p.key !== undefined);
  if (parts.length === 0) return frames;
  const seen = new Map<unknown, number>();
  for (const { key } of parts) for (const v of new Set(key.values)) seen.set(v, (seen.get(v) ?? 0) + 1);
  const keys = [...seen].filter(([, n]) => !inner || n === parts.length).map(([v]) => v);
  if (parts[0]!.key.type === 'time') keys.sort((a, b) => Number(a) - Number(b));
  const names = new Map<string, number>();
  const fields: Field[] = [{ ...parts[0]!.key, values: keys }];
  for (const { f, key } of parts) {
    const at = new Map(key.values.map((v, i) => [v, i]));
    for (const c of f.fields) {
      if (c === key) continue;
      let name = c.name;
      const n = (names.get(name) ?? 0) + 1;
      names.set(name, n);
      if (n > 1 && Object.keys(c.labels).length === 0 && !c.alias) name = `${c.name} ${n}`;
      fields.push({ ...c, name, refId: c.refId ?? f.refId, values: keys.map((k) => (at.has(k) ? c.values[at.get(k)!] : null)) });
    }
  }
  return [{ refId: 'joinByField', fields }];
}
