/** From a value to what is seen of it: mapping, unit, colour. Overrides decide which options a field has. */
import { cssColor, valueColor } from './color';
import { isNull, nameOf, numberFields, reduce } from './frames';
import type { Field, Frame } from './frames';
import { arr, obj, setOption, str } from './model';
import type { FieldOptions, MapResult, Override, Panel } from './model';
import { formatUnit } from './units';

export interface Shown {
  text: string;
  prefix: string;
  suffix: string;
  color: string;
  /** NaN if it is no number. */
  number: number;
}

function mapped(f: FieldOptions, v: unknown): MapResult | undefined {
  for (const m of f.mappings ?? []) {
    switch (m.type) {
      case 'value': {
        const hit = m.options[String(v)];
        if (hit) return hit;
        break;
      }
      case 'range':
        if (typeof v === 'number' && v >= m.from && v <= m.to) return m.result;
        break;
      case 'regex':
        if (typeof v === 'string') {
          const re = regexOf(m.pattern);
          if (re?.test(v)) return m.result.text === undefined ? m.result : { ...m.result, text: v.replace(re, m.result.text) };
        }
        break;
      case 'special': {
        const hit =
          (m.match === 'null' && (v === null || v === undefined)) ||
          (m.match === 'nan' && typeof v === 'number' && Number.isNaN(v)) ||
          (m.match === 'null+nan' && isNull(v)) ||
          (m.match === 'true' && v === true) ||
          (m.match === 'false' && v === false) ||
          (m.match === 'empty' && v === '');
        if (hit) return m.result;
        break;
      }
    }
  }
  return undefined;
}

/** What a value of a field looks like. `series` is the colour of the field itself. */
export function show(f: FieldOptions, v: unknown, series = 'var(--text)', min?: number, max?: number): Shown {
  const n = typeof v === 'number' ? v : typeof v === 'boolean' ? Number(v) : NaN;
  const map = mapped(f, v);
  const color = map?.color ? cssColor(map.color) : valueColor(f, Number.isNaN(n) ? undefined : n, series, min, max);
  const base = { prefix: '', suffix: '', color, number: n };
  if (map?.text !== undefined && map.text !== '') return { ...base, text: map.text };
  if (isNull(v)) return { ...base, text: f.noValue ?? (typeof v === 'number' ? 'NaN' : '–') };
  if (typeof v === 'number') return { ...base, ...formatUnit(v, f.unit, f.decimals) };
  if (typeof v === 'string' && v !== '' && f.unit && f.unit !== 'string' && f.unit !== 'none' && Number.isFinite(Number(v))) return { ...base, ...formatUnit(Number(v), f.unit, f.decimals) };
  return { ...base, text: typeof v === 'object' ? JSON.stringify(v) : String(v) };
}

export const shownText = (s: Shown): string => s.prefix + s.text + s.suffix;

/** `/…/flags` or a bare pattern; undefined when it is no regular expression. */
export function regexOf(text: string, flags = ''): RegExp | undefined {
  const m = /^\/(.*)\/([a-z]*)$/s.exec(text);
  try {
    return m ? new RegExp(m[1]!, m[2]!.replace(/[gy]/g, '') + flags) : new RegExp(text, flags);
  } catch {
    return undefined;
  }
}

const comparisons: Record<string, (a: number, b: number) => boolean> = {
  gte: (a, b) => a >= b,
  gt: (a, b) => a > b,
  lte: (a, b) => a <= b,
  lt: (a, b) => a < b,
  eq: (a, b) => a === b,
  neq: (a, b) => a !== b,
};

function matches(o: Override, f: Field, frame: Frame, all: Frame[], interpolate: (s: string) => string): boolean {
  const opt = o.matcher.options;
  const name = () => nameOf(f, frame, all);
  switch (o.matcher.id) {
    case 'byName':
      return typeof opt === 'string' && (name() === interpolate(opt) || f.name === opt);
    case 'byRegexp': {
      const re = regexOf(interpolate(String(opt)));
      return Boolean(re?.test(name()));
    }
    case 'byNames': {
      const names = arr(obj(opt)['names']).map(String);
      const hit = names.includes(name()) || names.includes(f.name);
      // This is how Grafana stores "isolate this series": everything but it is hidden.
      return obj(opt)['mode'] === 'exclude' ? !hit && f.type !== 'time' : hit;
    }
    case 'byFrameRefID':
      return (f.refId ?? frame.refId) === opt;
    case 'byType':
      return f.type === opt;
    case 'byTypes':
      return arr(opt).includes(f.type);
    case 'numeric':
      return f.type === 'number';
    case 'time':
      return f.type === 'time';
    case 'byValue': {
      const v = reduce(str(obj(opt)['reducer']) ?? 'lastNotNull', f);
      const compare = comparisons[str(obj(opt)['op']) ?? 'eq'];
      return f.type === 'number' && typeof v === 'number' && Boolean(compare?.(v, Number(obj(opt)['value'])));
    }
    default:
      return false;
  }
}

/** Gives every field of the frames its options: the panel's defaults, then each override that matches. */
export function applyConfig(panel: Panel, frames: Frame[], interpolate: (s: string) => string): Frame[] {
  const withDefaults = frames.map((fr) => ({
    ...fr,
    fields: fr.fields.map((f) => ({ ...f, config: { ...structuredClone(panel.defaults), ...f.config, custom: { ...structuredClone(panel.defaults.custom), ...f.config.custom } } })),
  }));
  for (const fr of withDefaults) {
    for (const f of fr.fields) {
      if (f.config.displayName) f.config.displayName = fieldText(f.config.displayName, f, interpolate);
      if (f.type === 'time' && panel.defaults.unit && !f.config.unit?.startsWith('time:') && !f.config.unit?.startsWith('dateTime')) delete f.config.unit;
    }
  }
  if (panel.overrides.length === 0) return withDefaults;
  for (const fr of withDefaults) {
    for (const f of fr.fields) {
      for (const o of panel.overrides) {
        if (!matches(o, f, fr, withDefaults, interpolate)) continue;
        for (const p of o.properties) setOption(f.config, p.id, p.value);
        if (f.config.displayName) f.config.displayName = fieldText(f.config.displayName, f, interpolate);
      }
    }
  }
  return withDefaults;
}

/** `${__field.labels.x}` in a display name. */
function fieldText(text: string, f: Field, interpolate: (s: string) => string): string {
  const own = text
    .replace(/\$\{__field\.labels(?:\.([\w.]+)|\["([^"]+)"\])\}/g, (_m, a?: string, b?: string) => f.labels[a ?? b ?? ''] ?? '')
    .replace(/\$\{__(?:field|series)\.name\}/g, f.alias ?? f.name);
  return interpolate(own);
}

/** The smallest and largest finite number of all fields: the ends of a scale that was not set. */
export function extent(frames: Frame[]): [number, number] | undefined {
  let lo = Infinity;
  let hi = -Infinity;
  for (const f of frames.flatMap(numberFields)) {
    for (const v of f.values) {
      if (typeof v !== 'number' || !Number.isFinite(v)) continue;
      if (v < lo) lo = v;
      if (v > hi) hi = v;
    }
  }
  return lo <= hi ? [lo, hi] : undefined;
}
