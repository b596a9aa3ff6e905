/** Formatting of values with units, and guessing of units from metric names. */

export type Unit = 'none' | 's' | 'bytes' | 'Bps' | 'ratio' | 'percent' | 'perSecond';

const si: [number, string][] = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
const iec: [number, string][] = [[1024 ** 4, 'TiB'], [1024 ** 3, 'GiB'], [1024 ** 2, 'MiB'], [1024, 'KiB']];

/** At most three significant digits without trailing zeros, never an exponent for common sizes. */
export function trim(v: number, digits = 3): string {
  if (v === 0) return '0';
  const a = Math.abs(v);
  if (a >= 1e15 || a < 1e-6) return v.toExponential(2);
  if (a >= 10 ** digits) return String(Math.round(v));
  return String(Number(v.toPrecision(digits)));
}

function short(v: number): string {
  const a = Math.abs(v);
  for (const [size, suffix] of si) if (a >= size) return trim(v / size) + suffix;
  return trim(v);
}

function bytes(v: number): string {
  const a = Math.abs(v);
  for (const [size, suffix] of iec) if (a >= size) return `${trim(v / size)} ${suffix}`;
  return `${trim(v)} B`;
}

/** Writes a duration in seconds: `1.2 ms`, `3.4 s`, `2 min`, `5 h`. */
export function seconds(v: number): string {
  const a = Math.abs(v);
  if (a === 0) return '0 s';
  if (a < 1e-6) return `${trim(v * 1e9)} ns`;
  if (a < 1e-3) return `${trim(v * 1e6)} µs`;
  if (a < 1) return `${trim(v * 1e3)} ms`;
  if (a < 120) return `${trim(v)} s`;
  if (a < 7200) return `${trim(v / 60)} min`;
  if (a < 172800) return `${trim(v / 3600)} h`;
  return `${trim(v / 86400)} d`;
}

/** Formats a value for people. */
export function formatValue(v: number | null | undefined, unit: Unit = 'none'): string {
  if (v === null || v === undefined || Number.isNaN(v)) return '–';
  if (!Number.isFinite(v)) return v > 0 ? '∞' : '-∞';
  switch (unit) {
    case 's':
      return seconds(v);
    case 'bytes':
      return bytes(v);
    case 'Bps':
      return `${bytes(v)}/s`;
    case 'ratio':
      return `${trim(v * 100)}%`;
    case 'percent':
      return `${trim(v)}%`;
    case 'perSecond':
      return `${short(v)}/s`;
    default:
      return short(v);
  }
}

/** Guesses how the result of a PromQL expression should be written. */
export function guessUnit(expr: string): Unit {
  const rate = /\b(rate|irate|deriv)\s*\(/.test(expr);
  // A quotient of two similar things is a number of its own, usually a share.
  if (/\)\s*\/\s*(?:on\b|ignoring\b|[a-z(])/.test(expr) && !/quantile/.test(expr)) {
    if (/_sum\b/.test(expr) && /_count\b/.test(expr)) return /seconds/.test(expr) ? 's' : /bytes/.test(expr) ? 'bytes' : 'none';
    return /\*\s*100\b|\b100\s*\*/.test(expr) ? 'percent' : 'ratio';
  }
  if (/histogram_quantile|quantile/.test(expr)) return /_seconds/.test(expr) ? 's' : /_bytes/.test(expr) ? 'bytes' : 'none';
  if (/_bytes(_total|_sum)?\b/.test(expr)) return rate ? 'Bps' : 'bytes';
  if (/_seconds(_sum|_total)?\b(?!_)/.test(expr) && !/_count\b|_bucket\b/.test(expr)) return rate ? 'none' : 's';
  if (/_ratio\b/.test(expr)) return 'ratio';
  if (/_percent\b/.test(expr)) return 'percent';
  if (rate) return 'perSecond';
  return 'none';
}

const grouped = new Intl.NumberFormat('en-US');

/** `1,234,567`. */
export function count(n: number): string {
  return grouped.format(n);
}
