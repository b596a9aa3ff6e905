/** The parts of Grafana's dashboard JSON that Pharos reads. Everything else stays in `raw`, so that saving loses nothing. */

export type Json = Record<string, unknown>;

export const obj = (x: unknown): Json => (typeof x === 'object' && x !== null && !Array.isArray(x) ? (x as Json) : {});
export const arr = (x: unknown): unknown[] => (Array.isArray(x) ? x : []);
export const str = (x: unknown): string | undefined => (typeof x === 'string' ? x : undefined);
export const num = (x: unknown): number | undefined => {
  if (typeof x === 'number') return Number.isFinite(x) ? x : undefined;
  if (typeof x !== 'string' || x.trim() === '') return undefined;
  const n = Number(x);
  return Number.isFinite(n) ? n : undefined;
};
export const clone = <T>(x: T): T => structuredClone(x);

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** A data source as it stands in the JSON: a name or uid, and perhaps a type. */
export interface SourceRef {
  type?: string;
  uid?: string;
}

export interface Target {
  refId: string;
  hide: boolean;
  source: SourceRef | undefined;
  raw: Json;
}

export interface Link {
  title: string;
  url: string;
  newTab: boolean;
}

export interface Threshold {
  value: number;
  color: string;
}

export interface Thresholds {
  mode: 'absolute' | 'percentage';
  steps: Threshold[];
}

export interface MapResult {
  text?: string;
  color?: string;
}

export type Mapping =
  | { type: 'value'; options: Record<string, MapResult> }
  | { type: 'range'; from: number; to: number; result: MapResult }
  | { type: 'regex'; pattern: string; result: MapResult }
  | { type: 'special'; match: string; result: MapResult };

/** What a field looks like: defaults of the panel with the overrides that match it. */
export interface FieldOptions {
  displayName?: string;
  description?: string;
  unit?: string;
  decimals?: number;
  min?: number;
  max?: number;
  noValue?: string;
  color?: { mode: string; fixedColor?: string };
  thresholds?: Thresholds;
  mappings?: Mapping[];
  links?: Link[];
  custom: Json;
}

export interface Override {
  matcher: { id: string; options: unknown };
  properties: { id: string; value: unknown }[];
}

export interface Transformation {
  id: string;
  options: Json;
  disabled: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description: string;
  grid: GridPos;
  transparent: boolean;
  source: SourceRef | undefined;
  targets: Target[];
  options: Json;
  defaults: FieldOptions;
  overrides: Override[];
  transformations: Transformation[];
  links: Link[];
  repeat: string | undefined;
  repeatVertical: boolean;
  maxPerRow: number;
  interval: string | undefined;
  maxDataPoints: number | undefined;
  timeFrom: string | undefined;
  timeShift: string | undefined;
  /** Of a row. */
  collapsed: boolean;
  panels: Panel[];
  /** The panel in today's JSON. */
  raw: Json;
}

export type VariableType = 'query' | 'datasource' | 'custom' | 'interval' | 'constant' | 'textbox' | 'adhoc' | 'unknown';

export interface Option {
  text: string;
  value: string;
}

export interface Variable {
  name: string;
  type: VariableType;
  label: string;
  hide: 'no' | 'label' | 'all';
  multi: boolean;
  includeAll: boolean;
  allValue: string | undefined;
  regex: string;
  sort: number;
  /** 2 means that the options depend on the time range. */
  refresh: number;
  source: SourceRef | undefined;
  query: unknown;
  options: Option[];
  current: string[] | undefined;
  auto: boolean;
  autoCount: number;
  autoMin: string;
}

export interface DashboardLink {
  type: 'link' | 'dashboards';
  title: string;
  url: string;
  tags: string[];
  newTab: boolean;
  keepTime: boolean;
  includeVars: boolean;
  dropdown: boolean;
}

export interface Annotation {
  name: string;
  enable: boolean;
  /** Without a switch above the panels. */
  hide: boolean;
  /** What Grafana keeps itself: notes and alerts of its own. */
  builtIn: boolean;
  source: SourceRef | undefined;
  expr: string;
  step: string | undefined;
  color: string;
  title: string;
  text: string;
  /** Labels whose values are tags. */
  tags: string[];
  /** The value of a point is its moment, in milliseconds. */
  valueIsTime: boolean;
  limit: number;
  /** The panels that show it, or do not. */
  only: { exclude: boolean; ids: number[] } | undefined;
}

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  tags: string[];
  panels: Panel[];
  variables: Variable[];
  links: DashboardLink[];
  annotations: Annotation[];
  time: { from: string; to: string } | undefined;
  refresh: string;
  /** The zone it asks for: empty and `browser` leave the user's. */
  timezone: string;
  /** Whether charts share the cursor. */
  sharedCursor: boolean;
  version: number;
  /** Today's JSON: what is edited and saved. */
  raw: Json;
}

export function sourceRef(x: unknown): SourceRef | undefined {
  if (typeof x === 'string') return x === '' || x === 'default' ? undefined : { uid: x };
  const o = obj(x);
  const ref: SourceRef = {};
  if (str(o['type'])) ref.type = str(o['type'])!;
  if (str(o['uid'])) ref.uid = str(o['uid'])!;
  return ref.type || ref.uid ? ref : undefined;
}

export function linksOf(x: unknown): Link[] {
  return arr(x)
    .map(obj)
    .filter((l) => str(l['url']))
    .map((l) => ({ title: str(l['title']) || str(l['name']) || 'Link', url: str(l['url'])!, newTab: l['targetBlank'] === true }));
}

function result(x: unknown): MapResult {
  const o = obj(x);
  const out: MapResult = {};
  if (o['text'] !== undefined && o['text'] !== null) out.text = String(o['text']);
  if (str(o['color'])) out.color = str(o['color'])!;
  return out;
}

export function mappingsOf(x: unknown): Mapping[] {
  const out: Mapping[] = [];
  for (const raw of arr(x)) {
    const m = obj(raw);
    const o = obj(m['options']);
    switch (m['type']) {
      case 'value':
        out.push({ type: 'value', options: Object.fromEntries(Object.entries(o).map(([k, v]) => [k, result(v)])) });
        break;
      case 'range':
        out.push({ type: 'range', from: num(o['from']) ?? -Infinity, to: num(o['to']) ?? Infinity, result: result(o['result']) });
        break;
      case 'regex':
        out.push({ type: 'regex', pattern: str(o['pattern']) ?? '', result: result(o['result']) });
        break;
      case 'special':
        out.push({ type: 'special', match: str(o['match']) ?? 'null', result: result(o['result']) });
        break;
    }
  }
  return out;
}

export function thresholdsOf(x: unknown): Thresholds | undefined {
  const o = obj(x);
  const steps = arr(o['steps']).map(obj);
  if (steps.length === 0) return undefined;
  return {
    mode: o['mode'] === 'percentage' ? 'percentage' : 'absolute',
    steps: steps.map((s) => ({ value: num(s['value']) ?? -Infinity, color: str(s['color']) ?? 'green' })).sort((a, b) => a.value - b.value),
  };
}

export function fieldOptions(x: unknown): FieldOptions {
  const d = obj(x);
  const out: FieldOptions = { custom: { ...obj(d['custom']) } };
  for (const [k, v] of Object.entries(d)) if (k !== 'custom') setOption(out, k, v);
  return out;
}

/** Sets one option by its path, as overrides name it. Returns whether it is known. */
export function setOption(f: FieldOptions, id: string, value: unknown): boolean {
  const put = <K extends keyof FieldOptions>(k: K, v: FieldOptions[K] | undefined) => {
    if (v === undefined) delete f[k];
    else f[k] = v;
    return true;
  };
  switch (id) {
    case 'displayName':
      return put('displayName', str(value) || undefined);
    case 'description':
      return put('description', str(value));
    case 'unit':
      return put('unit', str(value));
    case 'noValue':
      return put('noValue', value === undefined || value === null ? undefined : String(value));
    case 'decimals':
      return put('decimals', num(value));
    case 'min':
      return put('min', num(value));
    case 'max':
      return put('max', num(value));
    case 'color': {
      const o = obj(value);
      const fixed = str(o['fixedColor']);
      return put('color', str(o['mode']) ? { mode: str(o['mode'])!, ...(fixed ? { fixedColor: fixed } : {}) } : undefined);
    }
    case 'thresholds':
      return put('thresholds', thresholdsOf(value));
    case 'mappings':
      return put('mappings', mappingsOf(value));
    case 'links':
      return put('links', linksOf(value));
  }
  if (!id.startsWith('custom.')) return false;
  const path = id.slice(7).split('.');
  let at = f.custom;
  for (const p of path.slice(0, -1)) {
    at[p] = { ...obj(at[p]) };
    at = at[p] as Json;
  }
  at[path[path.length - 1]!] = value;
  return true;
}
