/** Colours by Grafana's names and modes, in the hues of the theme. */
import type { FieldOptions, Thresholds } from './model';

/** Custom properties exist in the theme for the palette; hues of Grafana's names are near them. */
const hues: Record<string, string> = {
  red: '--g-red',
  orange: '--g-orange',
  yellow: '--g-yellow',
  green: '--g-green',
  blue: '--g-blue',
  purple: '--g-purple',
};

const shades: [string, string][] = [
  ['super-light-', 'white 55%'],
  ['semi-dark-', 'black 12%'],
  ['light-', 'white 30%'],
  ['dark-', 'black 25%'],
];

/** A CSS colour for a name, a hex code or anything CSS knows. */
export function cssColor(name: string | undefined): string {
  if (!name) return 'var(--s0)';
  if (name === 'text' || name === 'panel-bg') return name === 'text' ? 'var(--text)' : 'var(--surface)';
  if (hues[name]) return `var(${hues[name]})`;
  for (const [prefix, mix] of shades) {
    const hue = name.startsWith(prefix) ? hues[name.slice(prefix.length)] : undefined;
    if (hue) return `color-mix(in srgb, var(${hue}), ${mix})`;
  }
  return name;
}

/** The colour for text on a panel: an author's dark red is as light as it must be to be read on a dark page, and the other way round. */
export const textColor = (css: string): string => (/^var\(--(text|muted)\)$/.test(css) ? css : `oklch(from ${css} clamp(var(--g-text-min), l, var(--g-text-max)) c h)`);

/** Colours of the schemes by name, from low to high. */
const schemes: Record<string, string[]> = {
  GrYlRd: ['green', 'yellow', 'red'],
  RdYlGr: ['red', 'yellow', 'green'],
  BlYlRd: ['blue', 'yellow', 'red'],
  YlRd: ['yellow', 'red'],
  BlPu: ['blue', 'purple'],
  YlBl: ['yellow', 'blue'],
  blues: ['panel', 'blue'],
  reds: ['panel', 'red'],
  greens: ['panel', 'green'],
  purples: ['panel', 'purple'],
  oranges: ['panel', 'orange'],
  spectral: ['blue', 'green', 'yellow', 'orange', 'red'],
  turbo: ['purple', 'blue', 'green', 'yellow', 'red'],
  viridis: ['purple', 'blue', 'green', 'yellow'],
  magma: ['panel', 'purple', 'orange', 'yellow'],
  inferno: ['panel', 'purple', 'red', 'yellow'],
  rdylgn: ['red', 'yellow', 'green'],
  rdylbu: ['red', 'yellow', 'blue'],
};

const stop = (name: string) => (name === 'panel' ? 'var(--raised)' : cssColor(name));

/** The colour at a share of a scheme. */
export function schemeColor(name: string, share: number): string {
  const stops = schemes[name] ?? schemes[name.toLowerCase()] ?? schemes['spectral']!;
  const at = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  return `color-mix(in srgb, ${stop(stops[i + 1]!)} ${Math.round((at - i) * 100)}%, ${stop(stops[i]!)})`;
}

export const knownScheme = (name: string): boolean => Boolean(schemes[name] ?? schemes[name.toLowerCase()]);

/** The threshold step that a value has reached. */
export function thresholdColor(t: Thresholds | undefined, v: number, min?: number, max?: number): string {
  const steps = t?.steps ?? [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }];
  const lo = min ?? 0;
  const hi = max ?? 100;
  const x = t?.mode === 'percentage' ? (hi === lo ? 0 : ((v - lo) / (hi - lo)) * 100) : v;
  let color = steps[0]!.color;
  for (const s of steps) if (x >= s.value) color = s.color;
  return cssColor(color);
}

/** The colour of a value under the field's mode. `series` is the field's own colour. */
export function valueColor(f: FieldOptions, v: number | undefined, series: string, min?: number, max?: number): string {
  const mode = f.color?.mode ?? 'thresholds';
  if (mode === 'fixed' || mode === 'shades') return cssColor(f.color?.fixedColor ?? 'text');
  if (mode.startsWith('palette-classic')) return series;
  if (mode.startsWith('continuous-')) {
    const lo = f.min ?? min ?? 0;
    const hi = f.max ?? max ?? 100;
    return schemeColor(mode.slice('continuous-'.length), v === undefined || hi === lo ? 0 : (v - lo) / (hi - lo));
  }
  if (v === undefined) return 'var(--muted)';
  return thresholdColor(f.thresholds, v, f.min ?? min, f.max ?? max);
}
