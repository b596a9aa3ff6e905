/** Grafana's unit ids as people read them. An id that is not known is printed behind the number. */
import { ago, formatTime } from '@/core/time/range';

export interface Formatted {
  text: string;
  /** Written smaller behind the number. */
  suffix: string;
  prefix: string;
}

type Scale = [number, string][];

const si: Scale = [[1e15, 'Quadri'], [1e12, 'T'], [1e9, 'B'], [1e6, 'Mil'], [1e3, 'K']];
const siLetters: Scale = [[1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k'], [1, '']];
const siSmall: Scale = [...siLetters, [1e-3, 'm'], [1e-6, 'µ'], [1e-9, 'n']];
const iec: Scale = [[1024 ** 5, 'Pi'], [1024 ** 4, 'Ti'], [1024 ** 3, 'Gi'], [1024 ** 2, 'Mi'], [1024, 'Ki'], [1, '']];

interface Kind {
  scale?: Scale;
  suffix?: string;
  prefix?: string;
  /** Multiplies the value first. */
  factor?: number;
  /** Takes the whole formatting. */
  format?: (v: number, decimals?: number) => Formatted;
}

const rate = (suffix: string): Kind => ({ scale: siLetters, suffix: ` ${suffix}` });
const plain = (suffix: string): Kind => ({ suffix: ` ${suffix}` });
const bytes = (scale: Scale, unit: string, factor = 1): Kind => ({ scale, suffix: unit, factor });
const time = (factor: number): Kind => ({ format: (v, d) => duration(v * factor, d) });
const words = (yes: string, no: string): Kind => ({ format: (v) => whole(v === 0 ? no : yes) });
const money = (symbol: string): Kind => ({ scale: siLetters, prefix: symbol });
const date = (f: (ms: number) => string): Kind => ({ format: (v) => whole(f(v)) });

const whole = (text: string): Formatted => ({ text, suffix: '', prefix: '' });

const kinds: Record<string, Kind> = {
  none: {},
  string: {},
  short: { scale: [...si, [1, '']] },
  sishort: { scale: siSmall },
  percent: { suffix: '%' },
  percentunit: { suffix: '%', factor: 100 },
  humidity: plain('%H'),
  dB: plain('dB'),
  ppm: plain('ppm'),
  sci: { format: (v, d) => whole(v.toExponential(d ?? 2)) },
  hex: { format: (v) => whole(v.toString(16).toUpperCase()) },
  hex0x: { format: (v) => whole(`0x${v.toString(16).toUpperCase()}`) },
  locale: { format: (v, d) => whole(v.toLocaleString('en-US', d === undefined ? {} : { minimumFractionDigits: d, maximumFractionDigits: d })) },
  bytes: bytes(iec, 'B'),
  decbytes: bytes(siLetters, 'B'),
  bits: bytes(iec, 'b'),
  decbits: bytes(siLetters, 'b'),
  kbytes: bytes(iec, 'B', 1024),
  deckbytes: bytes(siLetters, 'B', 1e3),
  mbytes: bytes(iec, 'B', 1024 ** 2),
  decmbytes: bytes(siLetters, 'B', 1e6),
  gbytes: bytes(iec, 'B', 1024 ** 3),
  decgbytes: bytes(siLetters, 'B', 1e9),
  tbytes: bytes(iec, 'B', 1024 ** 4),
  Bps: bytes(siLetters, 'B/s'),
  binBps: bytes(iec, 'B/s'),
  bps: bytes(siLetters, 'b/s'),
  binbps: bytes(iec, 'b/s'),
  KBs: bytes(siLetters, 'B/s', 1e3),
  KiBs: bytes(iec, 'B/s', 1024),
  MBs: bytes(siLetters, 'B/s', 1e6),
  MiBs: bytes(iec, 'B/s', 1024 ** 2),
  GBs: bytes(siLetters, 'B/s', 1e9),
  Kbits: bytes(siLetters, 'b/s', 1e3),
  Mbits: bytes(siLetters, 'b/s', 1e6),
  pps: rate('p/s'),
  ops: rate('ops/s'),
  reqps: rate('req/s'),
  rps: rate('rd/s'),
  wps: rate('wr/s'),
  iops: rate('io/s'),
  cps: rate('c/s'),
  eps: rate('events/s'),
  mps: rate('msg/s'),
  recps: rate('rec/s'),
  rowsps: rate('rows/s'),
  opm: rate('ops/min'),
  rpm: rate('rd/min'),
  wpm: rate('wr/min'),
  cpm: rate('c/min'),
  hertz: { scale: siLetters, suffix: 'Hz' },
  rotrpm: plain('rpm'),
  watt: { scale: siLetters, suffix: 'W' },
  kwatt: { scale: siLetters, suffix: 'W', factor: 1000 },
  watth: { scale: siLetters, suffix: 'Wh' },
  volt: { scale: siSmall, suffix: 'V' },
  amp: { scale: siSmall, suffix: 'A' },
  joule: { scale: siLetters, suffix: 'J' },
  celsius: { suffix: ' °C' },
  fahrenheit: { suffix: ' °F' },
  kelvin: { suffix: ' K' },
  ns: time(1e-9),
  'µs': time(1e-6),
  ms: time(1e-3),
  s: time(1),
  m: time(60),
  h: time(3600),
  d: time(86400),
  dtdurations: { format: (v) => whole(longDuration(v)) },
  dtdurationms: { format: (v) => whole(longDuration(v / 1000)) },
  dthms: { format: (v) => whole(clock(v)) },
  clocks: { format: (v) => whole(clock(v)) },
  clockms: { format: (v) => whole(clock(v / 1000)) },
  timeticks: time(0.01),
  dateTimeAsIso: date((ms) => formatTime(ms)),
  dateTimeAsIsoNoDateIfToday: date((ms) => (new Date(ms).toDateString() === new Date().toDateString() ? formatTime(ms, { date: false }) : formatTime(ms))),
  dateTimeAsSystem: date((ms) => formatTime(ms)),
  dateTimeAsLocal: date((ms) => formatTime(ms)),
  dateTimeAsUS: date((ms) => new Date(ms).toLocaleString('en-US')),
  dateTimeFromNow: date((ms) => (ms > Date.now() ? `in ${longDuration((ms - Date.now()) / 1000)}` : ago(ms, Date.now()))),
  bool: words('True', 'False'),
  bool_yes_no: words('Yes', 'No'),
  bool_on_off: words('On', 'Off'),
  currencyUSD: money('$'),
  currencyEUR: money('€'),
  currencyGBP: money('£'),
  currencyJPY: money('¥'),
  currencyRUB: money('₽'),
};

/** Whether the id has a meaning of its own here; others are printed behind the number. */
export function knownUnit(id: string): boolean {
  return id === '' || id in kinds || /^(suffix|prefix|time|si|count|currency|bool):/.test(id);
}

export const unitChoices = Object.keys(kinds);

function kindOf(id: string): Kind {
  const known = kinds[id];
  if (known) return known;
  const colon = id.indexOf(':');
  const rest = id.slice(colon + 1);
  switch (colon > 0 ? id.slice(0, colon) : '') {
    case 'suffix':
      return { suffix: rest };
    case 'prefix':
      return { prefix: rest };
    case 'time':
      return date((ms) => pattern(ms, rest));
    case 'si':
      return { scale: siSmall, suffix: rest };
    case 'count':
      return { scale: [...si, [1, '']], suffix: ` ${rest}` };
    case 'currency':
      return money(rest);
    case 'bool': {
      const [yes = 'True', no = 'False'] = rest.split('/');
      return words(yes, no);
    }
  }
  return { suffix: ` ${id}` };
}

/** Formats a number. Without decimals it has about three significant digits. */
export function formatUnit(v: number, id = '', decimals?: number): Formatted {
  if (Number.isNaN(v)) return whole('NaN');
  if (!Number.isFinite(v)) return whole(v > 0 ? '∞' : '-∞');
  const k = kindOf(id);
  if (k.format) return k.format(v, decimals);
  let x = v * (k.factor ?? 1);
  let unit = '';
  if (k.scale && x !== 0) {
    const a = Math.abs(x);
    const step = k.scale.find(([size]) => a >= size * 0.9999999) ?? (k.scale === siSmall ? k.scale[k.scale.length - 1]! : undefined);
    if (step) {
      x /= step[0];
      unit = step[1];
    }
  }
  const base = k.suffix ?? '';
  const gap = unit || base ? (base.startsWith(' ') || base.startsWith('%') || (base === '' && k.prefix) ? '' : unit ? ' ' : base && k.scale ? ' ' : '') : '';
  return { text: digits(x, decimals), suffix: base.startsWith(' ') && unit ? ` ${unit}${base}`.replace(/^ (\w+) /, '$1 ') : `${gap}${unit}${base}`, prefix: k.prefix ?? '' };
}

export function unitText(v: number, id?: string, decimals?: number): string {
  const f = formatUnit(v, id, decimals);
  return f.prefix + f.text + f.suffix;
}

/** Fixed decimals, or as many as make three significant digits. */
export function digits(v: number, decimals?: number): string {
  if (decimals !== undefined) return v.toFixed(Math.max(0, Math.min(20, decimals)));
  const a = Math.abs(v);
  if (a === 0) return '0';
  if (a >= 1e15 || a < 1e-9) return v.toExponential(2);
  if (a >= 100) return Number.isInteger(v) ? String(v) : String(Number(v.toFixed(a >= 1000 ? 0 : 1)));
  return String(Number(v.toPrecision(3)));
}

const durations: [number, string][] = [[31536000, 'years'], [604800, 'weeks'], [86400, 'days'], [3600, 'hours'], [60, 'min'], [1, 's'], [1e-3, 'ms'], [1e-6, 'µs'], [1e-9, 'ns']];

function duration(seconds: number, decimals?: number): Formatted {
  if (seconds === 0) return { text: '0', suffix: ' s', prefix: '' };
  const a = Math.abs(seconds);
  const [size, unit] = durations.find(([s]) => a >= s * 0.9999999) ?? durations[durations.length - 1]!;
  return { text: digits(seconds / size, decimals), suffix: ` ${unit}`, prefix: '' };
}

/** `2 days 3 hours`: the two largest parts. */
function longDuration(seconds: number): string {
  let rest = Math.abs(Math.round(seconds));
  if (rest === 0) return '0 seconds';
  const parts: string[] = [];
  for (const [size, one] of [[31536000, 'year'], [604800, 'week'], [86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']] as const) {
    const n = Math.floor(rest / size);
    if (n === 0) continue;
    parts.push(`${n} ${one}${n === 1 ? '' : 's'}`);
    rest -= n * size;
    if (parts.length === 2) break;
  }
  return `${seconds < 0 ? '-' : ''}${parts.join(' ')}`;
}

function clock(seconds: number): string {
  const s = Math.abs(Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** The date patterns of moment.js that dashboards use. */
export function pattern(ms: number, p: string): string {
  const d = new Date(ms);
  const two = (n: number) => String(n).padStart(2, '0');
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const parts: Record<string, string> = {
    YYYY: String(d.getFullYear()),
    YY: String(d.getFullYear()).slice(2),
    MMM: months[d.getMonth()]!,
    MM: two(d.getMonth() + 1),
    DD: two(d.getDate()),
    D: String(d.getDate()),
    HH: two(d.getHours()),
    hh: two(d.getHours() % 12 || 12),
    h: String(d.getHours() % 12 || 12),
    mm: two(d.getMinutes()),
    ss: two(d.getSeconds()),
    SSS: String(d.getMilliseconds()).padStart(3, '0'),
    A: d.getHours() < 12 ? 'AM' : 'PM',
    a: d.getHours() < 12 ? 'am' : 'pm',
    X: String(Math.floor(ms / 1000)),
    x: String(ms),
  };
  return p.replace(/\[([^\]]*)\]|YYYY|YY|MMM|MM|DD|D|HH|hh|h|mm|ss|SSS|A|a|X|x/g, (m, quoted?: string) => quoted ?? parts[m] ?? m);
}
