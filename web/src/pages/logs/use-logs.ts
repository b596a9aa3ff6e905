/** Data of the logs page: the lines, their volume, and the live tail. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import { compareNs, entriesOf, lokiLabels, queryLogs, tailURL } from '@/core/api/loki';
import type { LogResult, RawEntry, TailFrame } from '@/core/api/loki';
import { isLogQuery, mentionQuery, volumeQuery } from '@/core/logs/logql';
import { levels, normalizeLevel, Ring, toRow } from '@/core/logs/rows';
import type { Level, LogRow } from '@/core/logs/rows';
import type { Range } from '@/core/time/parse';
import { expandMacros, niceStep } from '@/core/time/range';
import type { Stack } from '@/viz/histogram';

export const ringSize = 5000;

/** Most lines of one answer; more come page by page. */
export const maxLimit = 5000;

export interface LinesState {
  result: LogResult | undefined;
  rows: LogRow[];
  error: unknown;
  fetching: boolean;
  stale: boolean;
  step: number;
  query: string;
  range: Range;
}

const noRows: LogRow[] = [];

export function useLines(query: string, range: Range, limit: number, on: boolean): LinesState {
  const step = niceStep(range, 240);
  const q = useQuery({
    queryKey: ['logs', query, range.from, range.to, limit],
    queryFn: ({ signal }) => fetchLines(expandMacros(query, range, step), isLogQuery(query) ? range : snap(range, step), limit, step, signal),
    enabled: on && query.trim() !== '',
    placeholderData: keepPreviousData,
  });
  const result = q.error ? undefined : q.data;
  const rows = useMemo(() => (result?.kind === 'logs' ? result.entries.map(toRow) : noRows), [result]);
  return { result, rows, error: q.error, fetching: q.isFetching, stale: q.isPlaceholderData, step, query, range };
}

/** Runs the query; for the lines of a trace also its companion, and merges the two. */
async function fetchLines(query: string, range: Range, limit: number, step: number, signal: AbortSignal): Promise<LogResult> {
  const mention = mentionQuery(query);
  const main = queryLogs({ query, range, limit, step }, signal);
  if (!mention) return main;
  const [a, b] = await Promise.all([main, queryLogs({ query: mention, range, limit, step }, signal)]);
  if (a.kind !== 'logs' || b.kind !== 'logs') return a;
  const seen = new Set(a.entries.map((e) => e.ns + e.line));
  const entries = [...a.entries, ...b.entries.filter((e) => !seen.has(e.ns + e.line))].sort((x, y) => compareNs(y.ns, x.ns));
  return {
    kind: 'logs',
    entries,
    warnings: [...a.warnings, ...b.warnings],
    cost: { ms: Math.max(a.cost.ms, b.cost.ms), bytes: a.cost.bytes + b.cost.bytes },
    stats: { ...a.stats, bytes: (a.stats.bytes ?? 0) + (b.stats.bytes ?? 0), lines: (a.stats.lines ?? 0) + (b.stats.lines ?? 0) },
  };
}

function snap(r: Range, step: number): Range {
  const ms = step * 1000;
  return { from: Math.floor(r.from / ms) * ms, to: Math.ceil(r.to / ms) * ms };
}

export interface Older {
  /** The lines of the answer and all older ones that were loaded. */
  rows: LogRow[];
  loading: boolean;
  /** True when there is nothing older in the range. */
  done: boolean;
  error: Error | undefined;
  load: () => void;
}

/** Pages of older lines behind an answer. They are forgotten when the answer changes. */
export function useOlder(lines: LinesState): Older {
  const [pages, setPages] = useState<{ of: readonly LogRow[]; rows: LogRow[]; done: boolean }>({ of: noRows, rows: noRows, done: false });
  const [loading, setLoading] = useState(false);
  const [error, setError] = useState<Error>();
  const mine = pages.of === lines.rows;
  const rows = useMemo(() => (mine && pages.rows.length > 0 ? lines.rows.concat(pages.rows) : lines.rows), [lines.rows, pages, mine]);
  const load = () => {
    const last = rows[rows.length - 1];
    if (!last || loading) return;
    setLoading(true);
    setError(undefined);
    // The end of a range has milliseconds; lines of the last one are asked again and left out.
    const edge = Math.floor(last.time);
    const seen = new Set(rows.slice(-maxLimit).filter((r) => Math.floor(r.time) === edge).map((r) => r.ns + r.line));
    queryLogs({ query: expandMacros(lines.query, lines.range, lines.step), range: { from: lines.range.from, to: edge + 1 }, limit: maxLimit })
      .then((r) => {
        const entries = r.kind === 'logs' ? r.entries.filter((e) => !seen.has(e.ns + e.line)) : [];
        const next = entries.map((e, i) => toRow(e, rows.length + i));
        setPages((old) => ({ of: lines.rows, rows: (old.of === lines.rows ? old.rows : noRows).concat(next), done: next.length === 0 || (r.kind === 'logs' && r.entries.length < maxLimit) }));
      })
      .catch((err: unknown) => setError(err instanceof Error ? err : new Error(String(err))))
      .finally(() => setLoading(false));
  };
  return { rows, loading, done: mine && pages.done, error, load };
}

/** Lines by level over time. */
export function useVolume(query: string, range: Range, on: boolean, rows: readonly LogRow[]): { stacks: Stack[]; step: number; total: number; fetching: boolean; error: unknown } {
  const step = niceStep(range, 90, 1);
  // The lines of one trace are few and all here: count them instead of asking twice.
  const own = mentionQuery(query) !== undefined;
  const q = useQuery({
    queryKey: ['volume', query, range.from, range.to],
    queryFn: ({ signal }) => queryLogs({ query: volumeQuery(query, step), range: snap(range, step), limit: 100, step }, signal),
    enabled: on && isLogQuery(query) && !own,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const data = q.error ? undefined : q.data;
  return useMemo(() => {
    const byLevel = new Map<Level, Map<number, number>>();
    let total = 0;
    if (own) {
      for (const r of rows) {
        let points = byLevel.get(r.level);
        if (!points) byLevel.set(r.level, (points = new Map()));
        const t = Math.ceil(r.time / 1000 / step) * step;
        points.set(t, (points.get(t) ?? 0) + 1);
        total++;
      }
    } else if (data?.kind === 'metric') {
      for (const s of data.series) {
        const level = normalizeLevel(s.labels['detected_level'] ?? s.labels['level']);
        let points = byLevel.get(level);
        if (!points) byLevel.set(level, (points = new Map()));
        for (let i = 0; i < s.times.length; i++) {
          const t = Math.round(s.times[i]! / step) * step;
          points.set(t, (points.get(t) ?? 0) + s.values[i]!);
          total += s.values[i]!;
        }
      }
    }
    // The worst at the bottom, where its height is easiest to compare.
    const stacks = levels.filter((l) => byLevel.has(l)).map((l): Stack => ({ name: l, color: `var(--lv-${l})`, points: byLevel.get(l)! }));
    return { stacks, step, total, fetching: q.isFetching, error: q.error };
  }, [data, step, q.isFetching, q.error, own, rows]);
}

export type TailState = 'connecting' | 'open' | 'closed' | 'error';

export interface Tail {
  rows: readonly LogRow[];
  state: TailState;
  /** Lines per second over the last seconds. */
  rate: number;
  /** Lines the server dropped because this page was too slow. */
  dropped: number;
  /** Lines received in all. */
  total: number;
  message: string;
}

const idle: Tail = { rows: [], state: 'closed', rate: 0, dropped: 0, total: 0, message: '' };

/** Moves labels that are not of the stream to the metadata, so that filters on them go to the right place. */
function split(e: RawEntry, streamLabels: ReadonlySet<string>): RawEntry {
  const stream: Record<string, string> = {};
  const meta: Record<string, string> = { ...e.meta };
  for (const k in e.stream) (streamLabels.has(k) ? stream : meta)[k] = e.stream[k]!;
  return { ...e, stream, meta };
}

/** Streams matching lines into a ring; the page is told four times a second at most. */
export function useTail(query: string, on: boolean): Tail {
  const [tail, setTail] = useState<Tail>(idle);
  const serial = useRef(0);
  useEffect(() => {
    if (!on || !isLogQuery(query)) {
      setTail(idle);
      return;
    }
    const ring = new Ring<LogRow>(ringSize);
    let socket: WebSocket | undefined;
    let state: TailState = 'connecting';
    let dropped = 0;
    let dirty = true;
    let message = '';
    let waiting: LogRow[] = [];
    let attempts = 0;
    let retry: ReturnType<typeof setTimeout> | undefined;
    let history: { t: number; n: number }[] = [];
    // Only the first connection asks for history; a reconnect continues.
    let since = Date.now() - 60_000;

    const connect = () => {
      socket = new WebSocket(tailURL(query, since, 100));
      socket.onopen = () => {
        state = 'open';
        attempts = 0;
        dirty = true;
      };
      socket.onmessage = (ev) => {
        let frame: TailFrame;
        try {
          frame = JSON.parse(String(ev.data)) as TailFrame;
        } catch {
          return;
        }
        for (const e of entriesOf(frame.streams ?? [])) waiting.push(toRow(streamLabels ? split(e, streamLabels) : e, serial.current++));
        dropped += frame.dropped_entries?.length ?? 0;
        dirty = true;
      };
      socket.onclose = (ev) => {
        if (stopped) return;
        state = ev.code === 1011 ? 'error' : 'connecting';
        message = ev.reason || (attempts > 0 ? 'The connection was lost. Trying again…' : '');
        dirty = true;
        since = Date.now() - 1000;
        if (ev.code !== 1011 && attempts < 8) retry = setTimeout(connect, Math.min(8000, 500 * 2 ** attempts++));
        else state = 'error';
      };
    };
    let stopped = false;
    let streamLabels: ReadonlySet<string> | undefined;
    // The stream sends one merged label set; which of its names belong to the stream is known from the index.
    void lokiLabels({ from: Date.now() - 3_600_000, to: Date.now() })
      .then((names) => (streamLabels = new Set(names)))
      .catch(() => undefined)
      .then(() => stopped || connect());
    const flush = setInterval(() => {
      const now = performance.now();
      history = history.filter((h) => now - h.t < 5000);
      if (waiting.length > 0) {
        waiting.sort((a, b) => a.time - b.time);
        ring.push(waiting);
        history.push({ t: now, n: waiting.length });
        waiting = [];
      } else if (!dirty && history.length === 0) return;
      dirty = false;
      const span = Math.max(1000, history.length > 0 ? now - history[0]!.t : 1000);
      setTail({ rows: ring.rows(), state, rate: history.reduce((n, h) => n + h.n, 0) / (span / 1000), dropped, total: ring.total, message });
    }, 250);
    return () => {
      stopped = true;
      clearInterval(flush);
      clearTimeout(retry);
      socket?.close();
    };
  }, [query, on]);
  return tail;
}
