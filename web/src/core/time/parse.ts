/** Parsing of times and time ranges as people type, paste or link them. */

import { fromWall, offsetAt, zone as pageZone } from './zone';
import type { Zone } from './zone';

/** A range as written in the URL: each side is relative (`now-1h`) or epoch milliseconds. */
export interface RangeText {
  from: string;
  to: string;
}

/** A range in epoch milliseconds. */
export interface Range {
  from: number;
  to: number;
}

const unitMs: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** Parses `90`, `1h30m`, `500ms`, `2d`; a bare number is seconds. Returns milliseconds or undefined. */
export function parseDuration(text: string): number | undefined {
  const s = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$/.test(s)) return Number(s) * 1000;
  if (!/^(\d+(\.\d+)?(ms|[smhdwy])\s*)+$/.test(s)) return undefined;
  let total = 0;
  for (const m of s.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) {
    total += Number(m[1]) * (m[2] === 'y' ? 365 * unitMs['d']! : unitMs[m[2]!]!);
  }
  return total;
}

/** Writes milliseconds the short way: `1h30m`, `15s`, `250ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  let rest = Math.round(ms / 1000);
  let out = '';
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]] as const) {
    const n = Math.floor(rest / size);
    if (n > 0) {
      out += `${n}${unit}`;
      rest -= n * size;
    }
  }
  return out || '0s';
}

interface Parts {
  y: number;
  mo: number;
  d: number;
  h: number;
  mi: number;
  s: number;
  ms: number;
}

function toEpoch(p: Parts, zone: Zone): number {
  return fromWall(Date.UTC(p.y, p.mo, p.d, p.h, p.mi, p.s, p.ms), zone);
}

function fromEpoch(t: number, zone: Zone): Parts & { wd: number } {
  const d = new Date(t + offsetAt(t, zone));
  return { y: d.getUTCFullYear(), mo: d.getUTCMonth(), d: d.getUTCDate(), h: d.getUTCHours(), mi: d.getUTCMinutes(), s: d.getUTCSeconds(), ms: d.getUTCMilliseconds(), wd: d.getUTCDay() };
}

function addUnits(t: number, n: number, unit: string, zone: Zone): number {
  if (unit === 'ms' || unit === 's' || unit === 'm' || unit === 'h') return t + n * unitMs[unit]!;
  const p = fromEpoch(t, zone);
  if (unit === 'd') p.d += n;
  else if (unit === 'w') p.d += 7 * n;
  else if (unit === 'M') p.mo += n;
  else p.y += n;
  return toEpoch(p, zone);
}

function roundTo(t: number, unit: string, up: boolean, zone: Zone): number {
  const p = fromEpoch(t, zone);
  p.ms = 0;
  if (unit !== 's') p.s = 0;
  if (!/^[sm]$/.test(unit)) p.mi = 0;
  if (!/^[smh]$/.test(unit)) p.h = 0;
  if (unit === 'w') p.d -= (p.wd + 6) % 7;
  if (unit === 'M' || unit === 'y') p.d = 1;
  if (unit === 'y') p.mo = 0;
  const down = toEpoch(p, zone);
  return up ? addUnits(down, 1, unit, zone) - 1 : down;
}

const relative = /^now((?:\s*[+-]\s*\d+(?:ms|[smhdwMy]))*)(?:\s*\/\s*([smhdwMy]))?$/;

/** True for expressions that move with the clock. */
export function isRelative(text: string): boolean {
  return relative.test(text.trim());
}

function parseEpoch(s: string): number | undefined {
  if (!/^-?\d{9,19}(\.\d+)?$/.test(s)) return undefined;
  const n = Number(s);
  const digits = s.replace(/^-/, '').split('.')[0]!.length;
  if (digits <= 11) return n * 1000;
  if (digits <= 14) return n;
  if (digits <= 17) return n / 1000;
  return n / 1e6;
}

const dateTime = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T\s]+(\d{1,2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/i;
const clock = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?$/;

function fraction(text: string | undefined): number {
  return text ? Math.floor(Number(`0.${text}`) * 1000) : 0;
}

/**
 * Parses one moment: `now-6h/d`, `2026-11-23 14:00`, RFC 3339, `14:05`, or an epoch in seconds, milli-, micro- or
 * nanoseconds. `up` picks the end of a rounded unit or of a day written without a time.
 */
export function parseTime(text: string, now: number, zone: Zone = pageZone(), up = false): number | undefined {
  const s = text.trim();
  const rel = relative.exec(s);
  if (rel) {
    let t = now;
    for (const m of rel[1]!.matchAll(/([+-])\s*(\d+)(ms|[smhdwMy])/g)) {
      t = addUnits(t, Number(m[2]) * (m[1] === '-' ? -1 : 1), m[3]!, zone);
    }
    return rel[2] ? roundTo(t, rel[2], up, zone) : t;
  }
  const epoch = parseEpoch(s);
  if (epoch !== undefined) return epoch;
  const dt = dateTime.exec(s);
  if (dt) return parseDateTime(dt, zone, up);
  const ck = clock.exec(s);
  if (ck) {
    const p = fromEpoch(now, zone);
    if (Number(ck[1]) > 23 || Number(ck[2]) > 59) return undefined;
    return toEpoch({ ...p, h: Number(ck[1]), mi: Number(ck[2]), s: Number(ck[3] ?? 0), ms: fraction(ck[4]) }, zone);
  }
  return undefined;
}

function parseDateTime(dt: RegExpExecArray, zone: Zone, up: boolean): number | undefined {
  const p: Parts = {
    y: Number(dt[1]),
    mo: Number(dt[2]) - 1,
    d: Number(dt[3]),
    h: Number(dt[4] ?? 0),
    mi: Number(dt[5] ?? 0),
    s: Number(dt[6] ?? 0),
    ms: fraction(dt[7]),
  };
  if (p.mo > 11 || p.d < 1 || p.d > 31 || p.h > 23 || p.mi > 59 || p.s > 60) return undefined;
  const offset = dt[8];
  if (offset && /^(z|utc)$/i.test(offset)) return toEpoch(p, 'utc');
  if (offset) {
    const digits = offset.replace(/[^\d]/g, '');
    const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
    return toEpoch(p, 'utc') - (offset[0] === '-' ? -1 : 1) * minutes * 60_000;
  }
  if (dt[4] === undefined && up) return addUnits(toEpoch(p, zone), 1, 'd', zone) - 1;
  return toEpoch(p, zone);
}

function side(text: string, now: number, zone: Zone, up: boolean): string | undefined {
  if (isRelative(text)) return text.replace(/\s+/g, '');
  const t = parseTime(text, now, zone, up);
  return t === undefined ? undefined : String(Math.round(t));
}

/**
 * Parses what the time box accepts: `1h`, `last 15m`, `today`, `yesterday`, `now-1d/d`, `A to B`, or one pasted
 * timestamp, which becomes the ten minutes around it.
 */
export function parseRangeText(text: string, now: number, zone: Zone = pageZone()): RangeText | undefined {
  const s = text.trim().replace(/^last\s+/i, '');
  if (s === '') return undefined;
  if (/^today$/i.test(s)) return { from: 'now/d', to: 'now' };
  if (/^yesterday$/i.test(s)) return { from: 'now-1d/d', to: 'now-1d/d' };
  const pair = s.split(/\s+to\s+|\s*\.\.\s*|\s*[–—]\s*|\s+-\s+(?=\d{4}-|\d{1,2}:|now)/i);
  if (pair.length === 2 && pair[0] && pair[1]) {
    const from = side(pair[0], now, zone, false);
    let to = side(pair[1], now, zone, true);
    // "2026-11-23 14:00 to 15:30": the second clock belongs to the first date.
    if (from && !isRelative(from) && clock.test(pair[1].trim())) {
      const day = parseTime(pair[1], Number(from), zone);
      if (day !== undefined) to = String(day);
    }
    if (!from || !to) return undefined;
    const r = resolveRange({ from, to }, now, zone);
    return r && r.from < r.to ? { from, to } : undefined;
  }
  if (/^\d+(\.\d+)?(ms|[smhdwy])/i.test(s)) {
    const ms = parseDuration(s);
    if (ms) return { from: `now-${relativeOf(ms)}`, to: 'now' };
  }
  if (isRelative(s)) {
    const t = s.replace(/\s+/g, '');
    if (t === 'now') return undefined;
    return t.includes('/') && t.startsWith('now-') ? { from: t, to: t } : { from: t, to: 'now' };
  }
  const at = parseTime(s, now, zone);
  if (at === undefined) return undefined;
  if (/^\d{4}-\d{1,2}-\d{1,2}$/.test(s)) return { from: String(at), to: String(parseTime(s, now, zone, true)) };
  return { from: String(Math.round(at - 300_000)), to: String(Math.round(at + 300_000)) };
}

function relativeOf(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms % unitMs[unit]! === 0) return `${ms / unitMs[unit]!}${unit}`;
  }
  return `${Math.round(ms)}ms`;
}

/** Turns a range text into epoch milliseconds at the given moment. */
export function resolveRange(r: RangeText, now: number, zone: Zone = pageZone()): Range | undefined {
  const from = parseTime(r.from, now, zone, false);
  const to = parseTime(r.to, now, zone, true);
  if (from === undefined || to === undefined || from >= to) return undefined;
  return { from: Math.round(from), to: Math.round(to) };
}
