/** The API that says what sets selected spans apart. */
import { getJSON } from './http';
import type { Cost } from './http';
import type { Range } from '../time/parse';

export interface Side {
  spans: number;
  p50_ms: number;
  p95_ms: number;
  examples: Example[];
}

export interface Example {
  trace_id: string;
  span_id: string;
  service: string;
  name: string;
  root_service: string;
  root_name: string;
  start_unix_ms: number;
  duration_ms: number;
  failed: boolean;
}

export interface Factor {
  attribute: string;
  value: string;
  filter: string;
  selection: { spans: number; share: number };
  baseline: { spans: number; share: number };
  difference: number;
  lift?: number;
  p_value?: number;
  same?: { attribute: string; value: string; filter: string }[];
}

export interface TimeShare {
  service: string;
  name: string;
  selection_ms: number;
  baseline_ms: number;
  difference_ms: number;
}

export interface PatternShare {
  pattern: string;
  service: string;
  level: string;
  selection: { lines: number; traces: number };
  baseline: { lines: number; traces: number };
  sample?: { trace_id: string; time_unix_ms: number; line: string };
}

export interface Explanation {
  population: string;
  threshold_ms?: number;
  selection: Side;
  baseline: Side;
  factors: Factor[];
  time: TimeShare[];
  logs?: { selection_traces: number; baseline_traces: number; patterns: PatternShare[] };
  spans_scanned: number;
  warnings: string[];
}

/** What is selected: the slow ones, the failed ones, or a box of the chart. */
export interface Selection {
  select: 'slow' | 'failed' | '';
  box?: Box | undefined;
}

export interface Box {
  from: number;
  to: number;
  /** Milliseconds; absent when the box was only a stretch of time. */
  min?: number;
  max?: number;
}

/** A box as one parameter of the URL, and back. */
export function boxText(b: Box): string {
  const r = (v: number | undefined) => (v === undefined ? '' : String(Math.round(v * 1000) / 1000));
  return [String(Math.round(b.from)), String(Math.round(b.to)), r(b.min), r(b.max)].join(',').replace(/,+$/, '');
}

export function parseBox(text: string | undefined): Box | undefined {
  const [from, to, min, max] = (text ?? '').split(',').map((x) => (x === '' ? NaN : Number(x)));
  if (!Number.isFinite(from) || !Number.isFinite(to) || from! >= to!) return undefined;
  const out: Box = { from: from!, to: to! };
  if (Number.isFinite(min) && Number.isFinite(max)) {
    out.min = min!;
    out.max = max!;
  }
  return out;
}

export async function explainSpans(q: string, r: Range, s: Selection, signal?: AbortSignal): Promise<{ reply: Explanation; cost: Cost }> {
  const sec = (ms: number) => (ms / 1000).toFixed(3);
  const params: Record<string, string | undefined> = { q, start: sec(r.from), end: sec(r.to), select: s.select || undefined };
  if (s.box) {
    params['from'] = sec(s.box.from);
    params['to'] = sec(s.box.to);
    if (s.box.min !== undefined) params['min'] = `${s.box.min / 1000}`;
    if (s.box.max !== undefined) params['max'] = `${s.box.max / 1000}`;
  }
  const { body, cost } = await getJSON<Explanation>('/api/pharos/v1/traces/explain', params, signal);
  return { reply: body, cost };
}
