/**
 * Brings dashboard JSON of any age to today's form: rows with spans become a grid, panels of types that are gone become
 * the types that replaced them. What is not understood stays in place.
 */
import { graphToTimeseries, heatmapOptions, singlestatToStat, tableStyles } from './legacy';
import { arr, clone, num, obj, str } from './model';
import type { GridPos, Json } from './model';

const columns = 24;
/** Height of a grid row with its gap, in pixels. */
const rowPixels = 38;

export function migrate(source: Json): Json {
  const d = clone(source);
  if (Array.isArray(d['rows']) && d['rows'].length > 0 && arr(d['panels']).length === 0) {
    d['panels'] = fromRows(arr(d['rows']).map(obj));
    delete d['rows'];
  }
  const panels = arr(d['panels']).map((p) => migratePanel(obj(p)));
  place(panels);
  number(panels);
  d['panels'] = panels;
  if ((num(d['schemaVersion']) ?? 0) < 39) d['schemaVersion'] = 39;
  return d;
}

/** Lays out `rows[].panels[].span`; a span is a twelfth of the width. */
function fromRows(rows: Json[]): Json[] {
  const out: Json[] = [];
  const titled = rows.some((r) => r['collapse'] === true || r['showTitle'] === true || r['repeat']);
  let y = 0;
  for (const row of rows) {
    const height = pixels(row['height']) ?? 250;
    const inner: Json[] = [];
    let header: Json | undefined;
    if (titled) {
      header = { type: 'row', title: row['title'] ?? '', collapsed: row['collapse'] === true, gridPos: { x: 0, y, w: columns, h: 1 }, panels: [] };
      if (row['repeat']) header['repeat'] = row['repeat'];
      out.push(header);
      y++;
    }
    let x = 0;
    let lineHeight = 0;
    for (const p of arr(row['panels']).map(obj)) {
      const w = Math.max(1, Math.min(columns, Math.round((num(p['span']) ?? 4) * 2)));
      const h = Math.max(2, Math.ceil((pixels(p['height']) ?? height) / rowPixels));
      if (x + w > columns) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      inner.push({ ...p, gridPos: { x, y, w, h } });
      x += w;
      lineHeight = Math.max(lineHeight, h);
    }
    if (header?.['collapsed']) header['panels'] = inner;
    else {
      out.push(...inner);
      y += lineHeight;
    }
  }
  for (const p of out) delete p['span'];
  return out;
}

function pixels(x: unknown): number | undefined {
  return typeof x === 'number' ? x : num((str(x) ?? '').replace(/px$/, ''));
}

/** Gives panels without a place one below all others. */
function place(panels: Json[]): void {
  let bottom = 0;
  for (const p of panels) {
    const g = obj(p['gridPos']);
    bottom = Math.max(bottom, (num(g['y']) ?? 0) + (num(g['h']) ?? 0));
  }
  let x = 0;
  for (const p of panels) {
    if (num(obj(p['gridPos'])['w']) !== undefined) continue;
    const w = p['type'] === 'row' ? columns : 12;
    if (x + w > columns) {
      x = 0;
      bottom += 8;
    }
    const at: GridPos = { x, y: bottom, w, h: p['type'] === 'row' ? 1 : 8 };
    p['gridPos'] = at;
    x += w;
  }
}

/** Gives panels ids where they have none, or one that is taken. */
function number(panels: Json[]): void {
  const taken = new Set<number>();
  const all = panels.flatMap((p) => [p, ...arr(p['panels']).map(obj)]);
  let next = Math.max(0, ...all.map((p) => num(p['id']) ?? 0)) + 1;
  for (const p of all) {
    const id = num(p['id']);
    if (id === undefined || id === 0 || taken.has(id)) p['id'] = next++;
    taken.add(num(p['id'])!);
  }
}

const renamed: Record<string, string> = {
  'heatmap-new': 'heatmap',
  'grafana-piechart-panel': 'piechart',
  'natel-discrete-panel': 'state-timeline',
  'grafana-singlestat-panel': 'singlestat',
  'table2': 'table',
  'pluginlist': 'text',
};

function migratePanel(p: Json): Json {
  const type = str(p['type']) ?? '';
  if (renamed[type]) p['type'] = renamed[type];
  if (type === '' && obj(p['libraryPanel'])['uid']) p['type'] = 'library-panel';
  if (Array.isArray(p['panels'])) p['panels'] = arr(p['panels']).map((c) => migratePanel(obj(c)));
  fieldOptionsOfV6(p);
  switch (p['type']) {
    case 'graph':
      graphToTimeseries(p);
      break;
    case 'singlestat':
      singlestatToStat(p);
      break;
    case 'table-old':
      p['type'] = 'table';
      tableStyles(p);
      break;
    case 'table':
      if (Array.isArray(p['styles'])) tableStyles(p);
      break;
    case 'text':
      if (p['options'] === undefined || obj(p['options'])['content'] === undefined) p['options'] = { mode: p['mode'] ?? 'markdown', content: p['content'] ?? '' };
      break;
    case 'heatmap':
      heatmapOptions(p);
      break;
    case 'piechart':
      if (p['pieType'] && !obj(p['options'])['pieType']) p['options'] = { ...obj(p['options']), pieType: p['pieType'] };
      break;
  }
  const config = obj(p['fieldConfig']);
  const defaults = obj(config['defaults']);
  // A link beside the defaults instead of in them: a common mistake in hand-written JSON.
  if (Array.isArray(config['links']) && !defaults['links']) defaults['links'] = config['links'];
  if (Array.isArray(defaults['mappings'])) defaults['mappings'] = mappings(defaults['mappings']);
  for (const o of arr(config['overrides']).map(obj)) {
    for (const prop of arr(o['properties']).map(obj)) if (prop['id'] === 'mappings' && Array.isArray(prop['value'])) prop['value'] = mappings(prop['value']);
  }
  if (p['type'] !== 'row') p['fieldConfig'] = { ...config, defaults, overrides: arr(config['overrides']) };
  return p;
}

/** Grafana 6 kept what is now fieldConfig in options.fieldOptions. */
function fieldOptionsOfV6(p: Json): void {
  const o = obj(p['options']);
  const f = obj(o['fieldOptions']);
  if (Object.keys(f).length === 0) return;
  const defaults: Json = { ...obj(f['defaults']) };
  if (f['thresholds'] && !defaults['thresholds']) defaults['thresholds'] = { mode: 'absolute', steps: arr(f['thresholds']).map((t) => ({ value: obj(t)['value'] ?? null, color: obj(t)['color'] })) };
  if (f['mappings'] && !defaults['mappings']) defaults['mappings'] = f['mappings'];
  for (const k of ['unit', 'decimals', 'min', 'max']) if (f[k] !== undefined && defaults[k] === undefined) defaults[k] = f[k];
  if (!p['fieldConfig']) p['fieldConfig'] = { defaults, overrides: arr(f['overrides']).filter((x) => obj(x)['matcher']) };
  const rest: Json = { ...o };
  delete rest['fieldOptions'];
  rest['reduceOptions'] ??= { calcs: arr(f['calcs']).length > 0 ? f['calcs'] : ['mean'], values: f['values'] === true };
  p['options'] = rest;
}

/** Numbered mapping types, and one object for each value, are from before Grafana 8. */
export function mappings(list: unknown[]): Json[] {
  const out: Json[] = [];
  for (const raw of list) {
    const m = obj(raw);
    if (typeof m['type'] === 'string' && m['options'] !== undefined) {
      out.push(m);
      continue;
    }
    const text = { text: m['text'] === undefined ? '' : String(m['text']), ...(m['color'] ? { color: m['color'] } : {}) };
    if (m['type'] === 2 || (m['from'] !== undefined && m['from'] !== '' && m['value'] === undefined)) {
      out.push({ type: 'range', options: { from: num(m['from']) ?? null, to: num(m['to']) ?? null, result: text } });
    } else if (m['value'] === 'null' || m['value'] === null) {
      out.push({ type: 'special', options: { match: 'null', result: text } });
    } else if (m['value'] !== undefined && m['value'] !== '') {
      out.push({ type: 'value', options: { [String(m['value'])]: text } });
    }
  }
  return out;
}
