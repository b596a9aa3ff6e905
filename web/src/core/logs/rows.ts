/** Log rows: level, trace id and fields of an entry, and the ring that live tail fills. */
import type { RawEntry } from '../api/loki';
import type { Labels } from '../api/prometheus';

export const levels = ['critical', 'error', 'warn', 'info', 'debug', 'trace', 'unknown'] as const;
export type Level = (typeof levels)[number];

export interface LogRow {
  /** Unique within a result. */
  id: string;
  ns: string;
  /** Milliseconds. */
  time: number;
  line: string;
  level: Level;
  entry: RawEntry;
}

const aliases: Record<string, Level> = {
  emerg: 'critical', emergency: 'critical', fatal: 'critical', crit: 'critical', critical: 'critical', alert: 'critical', panic: 'critical',
  err: 'error', eror: 'error', error: 'error', severe: 'error',
  warn: 'warn', warning: 'warn', wrn: 'warn',
  info: 'info', inf: 'info', information: 'info', informational: 'info', notice: 'info',
  dbg: 'debug', debug: 'debug', debu: 'debug',
  trc: 'trace', trace: 'trace', verbose: 'trace', finest: 'trace',
};

/** Maps any spelling of a level to one of seven. */
export function normalizeLevel(text: string | undefined): Level {
  if (!text) return 'unknown';
  return aliases[text.toLowerCase()] ?? (/^(error|warn|info|debug|trace|fatal)\d?$/i.test(text) ? aliases[text.toLowerCase().replace(/\d$/, '')]! : 'unknown');
}

const levelNames = ['detected_level', 'level', 'severity', 'severity_text', 'lvl', 'loglevel'];
const traceNames = ['trace_id', 'traceid', 'traceId', 'traceID', 'TraceId', 'trace.id'];
const spanNames = ['span_id', 'spanid', 'spanId', 'spanID', 'SpanId', 'span.id'];

function pick(e: RawEntry, names: string[]): string | undefined {
  for (const n of names) {
    const v = e.meta[n] ?? e.parsed[n] ?? e.stream[n];
    if (v) return v;
  }
  return undefined;
}

export function toRow(e: RawEntry, index: number): LogRow {
  let level = normalizeLevel(pick(e, levelNames));
  if (level === 'unknown') {
    const m = /"(?:level|severity|lvl)"\s*:\s*"(\w+)"|\b(?:level|lvl|severity)=(\w+)/i.exec(e.line.slice(0, 2000));
    if (m) level = normalizeLevel(m[1] ?? m[2]);
  }
  return { id: `${e.ns}-${index}`, ns: e.ns, time: Number(e.ns.slice(0, -6) || 0), line: e.line, level, entry: e };
}

const traceInLine = /["']?\btrace[_.]?id["']?\s*[=:]\s*["']?([0-9a-f]{32}|[0-9a-f]{16})\b/i;
const spanInLine = /["']?\bspan[_.]?id["']?\s*[=:]\s*["']?([0-9a-f]{16})\b/i;

/** The trace id of an entry, from its metadata, labels or text. */
export function traceIdOf(e: RawEntry): string | undefined {
  return pick(e, traceNames) ?? traceInLine.exec(e.line.slice(0, 8000))?.[1];
}

export function spanIdOf(e: RawEntry): string | undefined {
  return pick(e, spanNames) ?? spanInLine.exec(e.line.slice(0, 8000))?.[1];
}

export function serviceOf(e: RawEntry): string | undefined {
  return e.stream['service_name'] ?? e.meta['service_name'] ?? e.stream['service'] ?? e.stream['app'] ?? e.stream['job'];
}

export interface Field {
  name: string;
  value: string;
  kind: 'stream' | 'meta' | 'parsed';
}

/** Every field of an entry, stream labels first. */
export function fieldsOf(e: RawEntry): Field[] {
  const out: Field[] = [];
  const add = (labels: Labels, kind: Field['kind']) => {
    for (const name of Object.keys(labels).sort()) out.push({ name, value: labels[name]!, kind });
  };
  add(e.stream, 'stream');
  add(e.meta, 'meta');
  add(e.parsed, 'parsed');
  return out;
}

export function fieldValue(e: RawEntry, name: string): string | undefined {
  return e.stream[name] ?? e.meta[name] ?? e.parsed[name];
}

export interface FieldSummary {
  name: string;
  kind: Field['kind'];
  /** Rows that have the field. */
  rows: number;
  values: { value: string; count: number }[];
  distinct: number;
}

/** Counts the fields of the rows and their most frequent values. */
export function summarizeFields(rows: LogRow[], top = 5): FieldSummary[] {
  const counts = new Map<string, { kind: Field['kind']; rows: number; values: Map<string, number> }>();
  const scan = (labels: Labels, kind: Field['kind']) => {
    for (const name in labels) {
      let c = counts.get(name);
      if (!c) counts.set(name, (c = { kind, rows: 0, values: new Map() }));
      c.rows++;
      const v = labels[name]!;
      c.values.set(v, (c.values.get(v) ?? 0) + 1);
    }
  };
  for (const r of rows) {
    scan(r.entry.stream, 'stream');
    scan(r.entry.meta, 'meta');
    scan(r.entry.parsed, 'parsed');
  }
  const rank = { stream: 0, meta: 1, parsed: 2 };
  return [...counts.entries()]
    .map(([name, c]) => ({
      name,
      kind: c.kind,
      rows: c.rows,
      distinct: c.values.size,
      values: [...c.values.entries()].sort((a, b) => b[1] - a[1]).slice(0, top).map(([value, count]) => ({ value, count })),
    }))
    .sort((a, b) => rank[a.kind] - rank[b.kind] || (a.name < b.name ? -1 : 1));
}

/** Keeps the newest rows and counts what it let go. */
export class Ring<T> {
  private buf: T[] = [];
  /** Rows ever pushed. */
  total = 0;

  constructor(readonly capacity: number) {}

  push(items: T[]): void {
    this.total += items.length;
    const all = this.buf.concat(items);
    this.buf = all.length > this.capacity ? all.slice(all.length - this.capacity) : all;
  }

  rows(): readonly T[] {
    return this.buf;
  }

  get evicted(): number {
    return this.total - this.buf.length;
  }

  clear(): void {
    this.buf = [];
    this.total = 0;
  }
}
