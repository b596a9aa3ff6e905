/** Annotations: what metrics, log lines or traces say about moments, as marks on the charts. */
import { queryLogs } from '@/core/api/loki';
import { queryRange } from '@/core/api/prometheus';
import type { Labels, Series } from '@/core/api/prometheus';
import { searchTraces } from '@/core/api/tempo';
import { parseDuration } from '@/core/time/parse';
import type { Range } from '@/core/time/parse';
import { niceStep } from '@/core/time/range';
import { arr, num, obj, sourceRef, str } from './model';
import type { Annotation, Json, Variable } from './model';
import type { Mark } from './panels/context';
import { legend, limited } from './query';
import { sourceOfAnnotation } from './sources';
import { interpolate } from './template';
import type { Values } from './template';

export function readAnnotation(raw: Json): Annotation {
  const target = obj(raw['target']);
  const filter = obj(raw['filter']);
  const ids = arr(filter['ids']).filter((x): x is number => typeof x === 'number');
  return {
    name: str(raw['name']) ?? '',
    enable: raw['enable'] !== false,
    hide: raw['hide'] === true,
    builtIn: raw['builtIn'] === 1 || raw['builtIn'] === true,
    source: sourceRef(raw['datasource']),
    expr: str(raw['expr']) ?? str(target['expr']) ?? str(target['query']) ?? '',
    step: str(raw['step']) || undefined,
    color: str(raw['iconColor']) ?? 'blue',
    title: str(raw['titleFormat']) ?? '',
    text: str(raw['textFormat']) ?? '',
    tags: (str(raw['tagKeys']) ?? '').split(',').map((s) => s.trim()).filter(Boolean),
    valueIsTime: raw['useValueForTime'] === true || raw['useValueForTime'] === 'on',
    limit: num(target['maxLines']) ?? num(raw['maxLines']) ?? 100,
    only: ids.length > 0 ? { exclude: filter['exclude'] === true, ids } : undefined,
  };
}

/** Those that have a query that one of the signals answers. */
export const answerable = (a: Annotation, variables: Variable[]): boolean => !a.builtIn && a.expr.trim() !== '' && typeof sourceOfAnnotation(a, {}, variables) === 'string';

const most = 500;

/** The marks of one annotation within a range. */
export async function runAnnotation(a: Annotation, values: Values, variables: Variable[], range: Range, signal?: AbortSignal): Promise<Mark[]> {
  const source = sourceOfAnnotation(a, values, variables);
  const limit = Math.max(1, Math.min(most, a.limit));
  if (source === 'loki') {
    const expr = interpolate(a.expr, values);
    const step = stepOf(a, range);
    const answer = await limited(() => queryLogs({ query: expr, range, limit, step }, signal), signal);
    if (answer.kind === 'metric') return answer.series.flatMap((s) => seriesMarks(a, s, step)).slice(0, most);
    return answer.entries.map((e) => mark(a, Math.floor(Number(e.ns) / 1e6), { ...e.stream, ...e.meta, ...e.parsed }, e.line));
  }
  if (source === 'tempo') {
    const { traces } = await limited(() => searchTraces(interpolate(a.expr, values), range, limit, signal), signal);
    return traces.map((t) => ({ ...mark(a, t.start, { traceID: t.traceID, service: t.rootServiceName, name: t.rootTraceName }, `${t.rootServiceName} ${t.rootTraceName}`), end: t.start + t.durationMs }));
  }
  const step = stepOf(a, range);
  const expr = interpolate(a.expr, { ...values, __interval: { values: [`${step}s`], text: '', multi: false } });
  const answer = await limited(() => queryRange(expr, range, step, 50, signal), signal);
  return answer.series.flatMap((s) => seriesMarks(a, s, step)).slice(0, most);
}

const stepOf = (a: Annotation, range: Range): number => Math.max(1, (parseDuration(a.step ?? '') ?? 0) / 1000 || niceStep(range, 200, 15));

/** A mark for every unbroken run of points, from its first to its last. */
export function seriesMarks(a: Annotation, s: Series, step: number): Mark[] {
  if (a.valueIsTime) return [...new Set(s.values)].filter((v) => v > 0).map((v) => mark(a, v, s.labels, ''));
  const out: Mark[] = [];
  let from = -1;
  s.times.forEach((t, i) => {
    if (i === 0 || t - s.times[i - 1]! > step * 1.5) from = i;
    const next = s.times[i + 1];
    if (next !== undefined && next - t <= step * 1.5) return;
    const m = mark(a, s.times[from]! * 1000, s.labels, '');
    out.push(i > from ? { ...m, end: t * 1000 } : m);
  });
  return out;
}

function mark(a: Annotation, time: number, labels: Labels, line: string): Mark {
  const title = legend(a.title, labels);
  const text = a.text ? legend(a.text, labels) : line;
  const tags = a.tags.map((k) => labels[k]).filter(Boolean);
  return { time, color: a.color, text: [[title || a.name, text].filter(Boolean).join(': '), tags.map((t) => `#${t}`).join(' ')].filter(Boolean).join('  '), only: a.only };
}
