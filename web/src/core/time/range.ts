/** Arithmetic on ranges: zooming, shifting, steps. */
import { formatDuration, isRelative, parseTime } from './parse';
import type { Range, RangeText } from './parse';
import { offsetAt, zone } from './zone';

const ladder = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '24h', '2d', '7d', '30d', '90d'];
const ladderMs = [5, 15, 30, 60, 180, 360, 720, 1440, 2880, 10080, 43200, 129600].map((m) => m * 60_000);

/** The ranges offered in the time picker. */
export const quickRanges: { label: string; range: RangeText }[] = [
  ...ladder.map((l) => ({ label: `Last ${l}`, range: { from: `now-${l}`, to: 'now' } })),
  { label: 'Today', range: { from: 'now/d', to: 'now' } },
  { label: 'Yesterday', range: { from: 'now-1d/d', to: 'now-1d/d' } },
];

/** The range that is about twice as long: the next rung for `now-x to now`, else twice the length around the middle. */
export function zoomOut(text: RangeText, r: Range, now: number): RangeText {
  const length = r.to - r.from;
  if (text.to === 'now' && isRelative(text.from)) {
    const i = ladderMs.findIndex((ms) => ms > length + 1000);
    return { from: `now-${ladder[i === -1 ? ladder.length - 1 : i]}`, to: 'now' };
  }
  const to = Math.min(r.to + length / 2, Math.max(now, r.to));
  return { from: String(Math.round(to - 2 * length)), to: String(Math.round(to)) };
}

/** Moves the range by half its length; never past now. */
export function shift(r: Range, direction: -1 | 1, now: number): RangeText {
  const length = r.to - r.from;
  let to = r.to + (direction * length) / 2;
  if (to > now) to = now;
  return { from: String(Math.round(to - length)), to: String(Math.round(to)) };
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** A round step in seconds that gives at most `points` points over the range. */
export function niceStep(r: Range, points: number, min = 5): number {
  const want = Math.max((r.to - r.from) / 1000 / points, min);
  return steps.find((s) => s >= want) ?? Math.ceil(want / 86400) * 86400;
}

/** The window for rate() at a step: long enough for four samples of a 15 s scrape. */
export function rateInterval(stepSeconds: number): number {
  return Math.max(stepSeconds + 15, 60);
}

/** Replaces the interval macros that dashboards use. */
export function expandMacros(expr: string, r: Range, step: number): string {
  return expr
    .replaceAll(/\$__rate_interval|\$\{__rate_interval\}/g, `${rateInterval(step)}s`)
    .replaceAll(/\$__interval|\$\{__interval\}/g, `${step}s`)
    .replaceAll(/\$__range|\$\{__range\}/g, `${Math.max(1, Math.round((r.to - r.from) / 1000))}s`);
}

const pad = (n: number, w = 2) => String(n).padStart(w, '0');

/** `2026-11-23 14:00:05` or with milliseconds. */
export function formatTime(t: number, opts: { utc?: boolean; ms?: boolean; date?: boolean } = {}): string {
  const z = opts.utc ? 'utc' : zone();
  const d = new Date(t + offsetAt(t, z));
  const g = [d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds(), d.getUTCMilliseconds()];
  const time = `${pad(g[3]!)}:${pad(g[4]!)}:${pad(g[5]!)}${opts.ms ? `.${pad(g[6]!, 3)}` : ''}`;
  return opts.date === false ? time : `${g[0]}-${pad(g[1]!)}-${pad(g[2]!)} ${time}`;
}

/** What the time picker shows for a range. */
export function describeRange(text: RangeText, now: number): string {
  if (text.to === 'now') {
    const m = /^now-(\d+(?:ms|[smhdwMy]))$/.exec(text.from);
    if (m) return `Last ${m[1]}`;
    if (text.from === 'now/d') return 'Today';
  }
  if (text.from === 'now-1d/d' && text.to === 'now-1d/d') return 'Yesterday';
  const show = (s: string, up: boolean) => {
    if (isRelative(s)) return s;
    const t = parseTime(s, now, zone(), up);
    return t === undefined ? s : formatTime(t);
  };
  const from = show(text.from, false);
  const to = show(text.to, true);
  return from.slice(0, 11) === to.slice(0, 11) && /^\d{4}-/.test(from) ? `${from} to ${to.slice(11)}` : `${from} to ${to}`;
}

/** `3 s ago`, `5 min ago`. */
export function ago(t: number, now: number): string {
  const s = Math.max(0, Math.round((now - t) / 1000));
  if (s < 2) return 'just now';
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} d ago`;
}

export { formatDuration };
