/** Grafana's transformations of query results, in the order that the panel lists them. */
import { show, shownText, regexOf } from './display';
import { field, isNull, nameOf, numberFields, reduce, reducerNames, rowsOf, timeField } from './frames';
import type { Field, Frame } from './frames';
import { arr, num, obj, str } from './model';
import type { Json, Transformation } from './model';
import { joinByField, merge } from './join';
import { pattern } from './units';

type Apply = (frames: Frame[], o: Json, interpolate: (s: string) => string) => Frame[];

const table: Record<string, Apply> = {
  organize,
  merge,
  joinByField,
  seriesToColumns: joinByField,
  groupBy,
  filterFieldsByName,
  calculateField,
  sortBy,
  reduce: reduceFrames,
  timeSeriesTable,
  extractFields,
  filterByValue,
  renameByRegex,
  labelsToFields,
  formatTime,
  groupingToMatrix,
  convertFieldType,
  seriesToRows,
  filterByRefId,
  concatenate,
  limit: (frames, o) => frames.map((f) => slice(f, range(Math.min(rowsOf(f), num(o['limitField']) ?? 10)))),
  prepareTimeSeries: (frames) => frames,
};

/** All that are carried out. */
export const transformations = Object.keys(table);

export const knownTransformation = (id: string): boolean => id in table;

export function transform(frames: Frame[], list: Transformation[], interpolate: (s: string) => string): Frame[] {
  let out = frames;
  for (const t of list) {
    const apply = t.disabled ? undefined : table[t.id];
    if (apply) out = apply(out, t.options, interpolate);
  }
  return out;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

export function slice(f: Frame, rows: number[]): Frame {
  return { ...f, fields: f.fields.map((c) => ({ ...c, values: rows.map((i) => c.values[i]) })) };
}

const named = (f: Frame, name: string, all: Frame[]) => f.fields.find((c) => nameOf(c, f, all) === name || c.name === name);

function organize(frames: Frame[], o: Json): Frame[] {
  const exclude = obj(o['excludeByName']);
  const include = obj(o['includeByName']);
  const order = obj(o['indexByName']);
  const rename = obj(o['renameByName']);
  const only = Object.values(include).some((v) => v === true);
  // Grafana organises a single table; several are joined by time before, as it suggests.
  return frames.map((f) => {
    const key = (c: Field) => nameOf(c, f, frames);
    const fields = f.fields
      .filter((c) => exclude[key(c)] !== true && (!only || include[key(c)] === true))
      .map((c, i) => ({ c, at: num(order[key(c)]) ?? 1000 + i }))
      .sort((a, b) => a.at - b.at)
      .map(({ c }) => {
        const to = str(rename[key(c)]);
        return to ? { ...c, config: { ...c.config, displayName: to } } : c;
      });
    return { ...f, fields };
  });
}

function keep(options: Json, name: string, interpolate: (s: string) => string): boolean {
  const names = arr(options['names']).map(String);
  const p = str(options['pattern']);
  if (names.includes(name)) return true;
  return Boolean(p && regexOf(interpolate(p))?.test(name));
}

function filterFieldsByName(frames: Frame[], o: Json, interpolate: (s: string) => string): Frame[] {
  const include = obj(o['include']);
  const exclude = obj(o['exclude']);
  const has = (x: Json) => arr(x['names']).length > 0 || Boolean(str(x['pattern']));
  return frames
    .map((f) => ({
      ...f,
      fields: f.fields.filter((c) => {
        const name = nameOf(c, f, frames);
        if (has(include) && !keep(include, name, interpolate) && !keep(include, c.name, interpolate)) return false;
        return !(has(exclude) && keep(exclude, name, interpolate));
      }),
    }))
    .filter((f) => f.fields.length > 0);
}

function groupBy(frames: Frame[], o: Json): Frame[] {
  const spec = obj(o['fields']);
  return frames.flatMap((f) => {
    const op = (c: Field) => obj(spec[nameOf(c, f, frames)] ?? spec[c.name]);
    const keys = f.fields.filter((c) => op(c)['operation'] === 'groupby');
    if (keys.length === 0) return [f];
    const groups = new Map<string, number[]>();
    for (let i = 0; i < rowsOf(f); i++) {
      const k = JSON.stringify(keys.map((c) => c.values[i] ?? null));
      groups.set(k, [...(groups.get(k) ?? []), i]);
    }
    const rows = [...groups.values()];
    const fields: Field[] = keys.map((c) => ({ ...c, values: rows.map((r) => c.values[r[0]!]) }));
    for (const c of f.fields) {
      if (op(c)['operation'] !== 'aggregate') continue;
      for (const agg of arr(op(c)['aggregations']).map(String)) {
        const values = rows.map((r) => reduce(agg, { ...c, values: r.map((i) => c.values[i]) }));
        const counts = agg === 'count' || agg === 'distinctCount';
        fields.push({ ...field(`${nameOf(c, f, frames)} (${agg})`, counts ? 'number' : c.type, values), config: unnamed(c) });
      }
    }
    return [{ ...f, fields }];
  });
}

/** The options of a field without the name it had before. */
const unnamed = (c: Field) => {
  const { displayName: _old, ...config } = c.config;
  return config;
};

const operators: Record<string, (a: number, b: number) => number> = { '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => a / b, '**': (a, b) => a ** b, '%': (a, b) => a % b };

function calculateField(frames: Frame[], o: Json, interpolate: (s: string) => string): Frame[] {
  const work = o['timeSeries'] !== false && frames.length > 1 && frames.every((f) => f.kind === 'series') ? joinByField(frames, { byField: 'Time', mode: 'outer' }) : frames;
  return work.map((f) => {
    const made = calculate(f, work, o, interpolate);
    if (!made) return f;
    const replace = o['replaceFields'] === true;
    return { ...f, fields: replace ? [...f.fields.filter((c) => c.type === 'time'), made] : [...f.fields, made] };
  });
}

function calculate(f: Frame, all: Frame[], o: Json, interpolate: (s: string) => string): Field | undefined {
  const alias = str(o['alias']);
  const n = rowsOf(f);
  switch (o['mode'] ?? 'reduceRow') {
    case 'binary': {
      const b = obj(o['binary']);
      const side = (x: unknown): ((i: number) => number) => {
        const text = str(x) ?? str(obj(obj(x)['matcher'])['options']) ?? str(obj(x)['fixed']) ?? '';
        const c = named(f, interpolate(text), all);
        if (c) return (i) => (typeof c.values[i] === 'number' ? (c.values[i] as number) : NaN);
        const fixed = num(text) ?? num(x) ?? num(obj(x)['fixed']) ?? NaN;
        return () => fixed;
      };
      const left = side(b['left']);
      const right = side(b['right']);
      const op = operators[str(b['operator']) ?? '+'] ?? operators['+']!;
      return field(alias || `${str(b['left']) ?? 'A'} ${str(b['operator']) ?? '+'} ${str(b['right']) ?? 'B'}`, 'number', range(n).map((i) => op(left(i), right(i))));
    }
    case 'unary': {
      const u = obj(o['unary']);
      const c = named(f, str(u['fieldName']) ?? '', all);
      const fns: Record<string, (x: number) => number> = { abs: Math.abs, exp: Math.exp, ln: Math.log, floor: Math.floor, ceil: Math.ceil, round: Math.round };
      const fn = fns[str(u['operator']) ?? 'abs'] ?? Math.abs;
      return c && field(alias || `${str(u['operator'])}(${c.name})`, 'number', c.values.map((v) => (typeof v === 'number' ? fn(v) : null)));
    }
    case 'index':
      return field(alias || 'Row', 'number', range(n));
    case 'cumulativeFunctions':
    case 'windowFunctions':
      return undefined;
    default: {
      const r = obj(o['reduce']);
      const include = arr(r['include']).map(String);
      const columns = f.fields.filter((c) => c.type === 'number' && (include.length === 0 || include.includes(nameOf(c, f, all)) || include.includes(c.name)));
      const id = str(r['reducer']) ?? 'sum';
      return field(alias || (reducerNames[id] ?? id), 'number', range(n).map((i) => reduce(id, field('', 'number', columns.map((c) => c.values[i])))));
    }
  }
}

function sortBy(frames: Frame[], o: Json): Frame[] {
  const s = obj(arr(o['sort'])[0]);
  const name = str(s['field']) ?? '';
  return frames.map((f) => {
    const c = named(f, name, frames);
    if (!c) return f;
    const sign = s['desc'] === true ? -1 : 1;
    return slice(f, range(rowsOf(f)).sort((a, b) => sign * compare(c.values[a], c.values[b])));
  });
}

export function compare(a: unknown, b: unknown): number {
  if (isNull(a) || isNull(b)) return isNull(a) ? (isNull(b) ? 0 : -1) : 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

function reduceFrames(frames: Frame[], o: Json): Frame[] {
  const ids = arr(o['reducers']).map(String);
  const use = ids.length > 0 ? ids : ['max'];
  if (o['mode'] === 'reduceFields') {
    return frames.map((f) => ({ ...f, fields: f.fields.filter((c) => c.type === 'number').flatMap((c) => use.map((id) => ({ ...c, values: [reduce(id, c)] }))) }));
  }
  const sources = frames.flatMap((f) => f.fields.filter((c) => c.type !== 'time' || o['includeTimeField'] === true).map((c) => ({ c, name: nameOf(c, f, frames) })));
  const labels = o['labelsToFields'] === true ? [...new Set(sources.flatMap(({ c }) => Object.keys(c.labels)))] : [];
  const fields: Field[] = [field('Field', 'string', sources.map(({ c, name }) => (labels.length > 0 ? c.name : name)))];
  for (const l of labels) fields.push(field(l, 'string', sources.map(({ c }) => c.labels[l] ?? '')));
  for (const id of use) {
    const made = field(reducerNames[id] ?? id, sources.every(({ c }) => c.type === 'number') ? 'number' : 'other', sources.map(({ c }) => reduce(id, c)));
    fields.push(made);
  }
  return [{ refId: 'reduce', fields }];
}

/** A row for each series, with the series itself as a small chart. */
function timeSeriesTable(frames: Frame[], o: Json): Frame[] {
  const byRef = new Map<string, Frame[]>();
  for (const f of frames) byRef.set(f.refId, [...(byRef.get(f.refId) ?? []), f]);
  return [...byRef].map(([refId, list]) => {
    const keys = [...new Set(list.flatMap((f) => numberFields(f).flatMap((c) => Object.keys(c.labels))))].sort();
    const stat = str(obj(o[refId])['stat']) ?? 'lastNotNull';
    const rows = list.flatMap((f) => numberFields(f).map((c) => ({ f, c })));
    const trend = field(`Trend #${refId}`, 'frame', rows.map(({ f, c }) => ({ times: timeField(f)?.values ?? [], values: c.values, value: reduce(stat, c) })));
    trend.config.custom['cellOptions'] = { type: 'sparkline' };
    return { refId, fields: [...keys.map((k) => field(k, 'string', rows.map(({ c }) => c.labels[k] ?? ''))), trend] };
  });
}

function extractFields(frames: Frame[], o: Json): Frame[] {
  const source = str(o['source']) ?? '';
  const paths = arr(o['jsonPaths']).map((p) => ({ path: str(obj(p)['path']) ?? '', alias: str(obj(p)['alias']) }));
  return frames.map((f) => {
    const c = named(f, source, frames) ?? (source === 'labels' ? named(f, 'labels', frames) : undefined);
    if (!c) return f;
    const rows = c.values.map((v) => parse(v, str(o['format']) ?? 'auto'));
    const keys = paths.length > 0 ? paths.map((p) => p.path) : [...new Set(rows.flatMap((r) => Object.keys(r)))];
    const made = keys.map((k, i) => {
      const values = rows.map((r) => k.split('.').reduce<unknown>((at, part) => obj(at)[part], r) ?? r[k] ?? null);
      const numeric = values.every((v) => v === null || typeof v === 'number');
      return field(paths[i]?.alias || k, numeric ? 'number' : 'string', values.map((v) => (typeof v === 'object' && v !== null ? JSON.stringify(v) : v)));
    });
    return { ...f, fields: o['replace'] === true ? [...(o['keepTime'] === true ? f.fields.filter((x) => x.type === 'time') : []), ...made] : [...f.fields, ...made] };
  });
}

function parse(v: unknown, format: string): Json {
  if (typeof v === 'object' && v !== null) return obj(v);
  const text = String(v ?? '');
  if (format !== 'kvp') {
    try {
      return obj(JSON.parse(text));
    } catch {
      if (format === 'json') return {};
    }
  }
  const out: Json = {};
  for (const m of text.matchAll(/([\w.-]+)\s*[=:]\s*(?:"([^"]*)"|([^,;&\s]+))/g)) out[m[1]!] = m[2] ?? m[3];
  return out;
}

const tests: Record<string, (v: unknown, o: Json) => boolean> = {
  isNull: (v) => isNull(v),
  isNotNull: (v) => !isNull(v),
  greater: (v, o) => Number(v) > Number(o['value']),
  greaterOrEqual: (v, o) => Number(v) >= Number(o['value']),
  lower: (v, o) => Number(v) < Number(o['value']),
  lowerOrEqual: (v, o) => Number(v) <= Number(o['value']),
  equal: (v, o) => String(v) === String(o['value']),
  notEqual: (v, o) => String(v) !== String(o['value']),
  substring: (v, o) => String(v).toLowerCase().includes(String(o['value']).toLowerCase()),
  notSubstring: (v, o) => !String(v).toLowerCase().includes(String(o['value']).toLowerCase()),
  regex: (v, o) => Boolean(regexOf(String(o['value']))?.test(String(v))),
  range: (v, o) => Number(v) >= Number(o['from']) && Number(v) <= Number(o['to']),
  between: (v, o) => Number(v) >= Number(o['from']) && Number(v) <= Number(o['to']),
};

function filterByValue(frames: Frame[], o: Json, interpolate: (s: string) => string): Frame[] {
  const filters = arr(o['filters']).map(obj);
  const anyOf = o['match'] === 'any';
  return frames.map((f) => {
    const checks = filters
      .map((x) => ({ c: named(f, str(x['fieldName']) ?? '', frames), config: obj(x['config']) }))
      .filter((x): x is { c: Field; config: Json } => Boolean(x.c) && Boolean(tests[str(x.config['id']) ?? '']));
    if (checks.length === 0) return f;
    const hit = (i: number) => {
      const one = ({ c, config }: { c: Field; config: Json }) => {
        const opts = { ...obj(config['options']) };
        if (typeof opts['value'] === 'string') opts['value'] = interpolate(opts['value']);
        return tests[str(config['id'])!]!(c.values[i], opts);
      };
      return anyOf ? checks.some(one) : checks.every(one);
    };
    const include = o['type'] !== 'exclude';
    return slice(f, range(rowsOf(f)).filter((i) => hit(i) === include));
  });
}

function renameByRegex(frames: Frame[], o: Json, interpolate: (s: string) => string): Frame[] {
  const re = regexOf(interpolate(str(o['regex']) ?? ''));
  if (!re) return frames;
  const to = str(o['renamePattern']) ?? '';
  return frames.map((f) => ({
    ...f,
    fields: f.fields.map((c) => {
      const name = nameOf(c, f, frames);
      return c.type !== 'time' && re.test(name) ? { ...c, config: { ...c.config, displayName: name.replace(re, to) } } : c;
    }),
  }));
}

function labelsToFields(frames: Frame[], o: Json): Frame[] {
  const only = arr(o['keepLabels']).map(String);
  const rows = o['mode'] === 'rows';
  return frames.flatMap((f) => {
    const value = numberFields(f)[0];
    if (!value) return [f];
    const keys = Object.keys(value.labels).filter((k) => only.length === 0 || only.includes(k));
    if (rows) return [{ refId: f.refId, fields: [field('label', 'string', keys), field('value', 'string', keys.map((k) => value.labels[k] ?? ''))] }];
    const n = rowsOf(f);
    const valueName = str(o['valueLabel']) ? (value.labels[str(o['valueLabel'])!] ?? value.name) : value.name;
    const time = timeField(f);
    return [{ refId: f.refId, fields: [...(time ? [time] : []), ...keys.map((k) => field(k, 'string', new Array(n).fill(value.labels[k] ?? ''))), { ...value, name: valueName, labels: {}, values: value.values }] }];
  });
}

function formatTime(frames: Frame[], o: Json): Frame[] {
  const format = str(o['outputFormat']) || 'YYYY-MM-DD HH:mm:ss';
  return frames.map((f) => ({
    ...f,
    fields: f.fields.map((c) => (nameOf(c, f, frames) === o['timeField'] || c.name === o['timeField'] ? { ...c, type: 'string' as const, values: c.values.map((v) => (typeof v === 'number' ? pattern(v, format) : v)) } : c)),
  }));
}

function groupingToMatrix(frames: Frame[], o: Json): Frame[] {
  return frames.map((f) => {
    const column = named(f, str(o['columnField']) ?? 'Time', frames);
    const row = named(f, str(o['rowField']) ?? 'Time', frames);
    const value = named(f, str(o['valueField']) ?? 'Value', frames);
    if (!column || !row || !value) return f;
    const text = (c: Field, v: unknown) => shownText(show(c.config, v));
    const rows = [...new Set(row.values.map((v) => text(row, v)))];
    const columns = [...new Set(column.values.map((v) => text(column, v)))];
    const cells = new Map<string, unknown>();
    for (let i = 0; i < rowsOf(f); i++) cells.set(`${text(row, row.values[i])}\u0000${text(column, column.values[i])}`, value.values[i]);
    const empty = o['emptyValue'] === 'zero' ? 0 : o['emptyValue'] === 'empty' ? '' : null;
    return { refId: f.refId, fields: [field(`${row.name}\\${column.name}`, 'string', rows), ...columns.map((k) => ({ ...field(k, value.type, rows.map((r) => cells.get(`${r}\u0000${k}`) ?? empty)), config: value.config }))] };
  });
}

function convertFieldType(frames: Frame[], o: Json): Frame[] {
  const list = arr(o['conversions']).map(obj);
  return frames.map((f) => ({
    ...f,
    fields: f.fields.map((c) => {
      const to = list.find((x) => x['targetField'] === nameOf(c, f, frames) || x['targetField'] === c.name)?.['destinationType'];
      switch (to) {
        case 'number':
          return { ...c, type: 'number' as const, values: c.values.map((v) => (isNull(v) || v === '' ? null : Number(v))) };
        case 'string':
          return { ...c, type: 'string' as const, values: c.values.map((v) => (isNull(v) ? '' : String(v))) };
        case 'time':
          return { ...c, type: 'time' as const, values: c.values.map((v) => (typeof v === 'number' ? v : Number.isFinite(Number(v)) ? Number(v) : Date.parse(String(v)))) };
        case 'boolean':
          return { ...c, type: 'boolean' as const, values: c.values.map((v) => v === true || v === 'true' || v === 1) };
        default:
          return c;
      }
    }),
  }));
}

function seriesToRows(frames: Frame[]): Frame[] {
  const rows = frames.flatMap((f) => numberFields(f).flatMap((c) => (timeField(f)?.values ?? []).map((t, i) => ({ t, name: nameOf(c, f, frames), v: c.values[i] }))));
  rows.sort((a, b) => Number(b.t) - Number(a.t));
  return [{ refId: 'rows', fields: [field('Time', 'time', rows.map((r) => r.t)), field('Metric', 'string', rows.map((r) => r.name)), field('Value', 'number', rows.map((r) => r.v))] }];
}

function filterByRefId(frames: Frame[], o: Json): Frame[] {
  const re = regexOf(`^(?:${str(o['include']) || '.*'})$`);
  const not = str(o['exclude']) ? regexOf(`^(?:${str(o['exclude'])})$`) : undefined;
  return frames.filter((f) => (!re || re.test(f.refId)) && !not?.test(f.refId));
}

function concatenate(frames: Frame[]): Frame[] {
  const first = frames[0];
  return first ? [{ ...first, kind: undefined, fields: frames.flatMap((f) => f.fields.map((c) => ({ ...c, config: { ...c.config, displayName: c.config.displayName ?? nameOf(c, f, frames) } }))) } as unknown as Frame] : [];
}
