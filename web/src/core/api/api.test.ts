import { expect, it, vi } from 'vitest';
import { compareNs, entriesOf, logContext } from './loki';
import { escapeRegex, escapeString, number, toSeries, hasYesterday, unusedMetrics } from './prometheus';
import { toHeatmap, toSummary } from './tempo';

it('reads every Prometheus result type', () => {
  expect(toSeries({ resultType: 'scalar', result: [1, '2'] })).toEqual([{ labels: {}, times: Float64Array.of(1), values: Float64Array.of(2) }]);
  expect(toSeries({ resultType: 'vector', result: [{ metric: { a: 'b' }, value: [1, 'NaN'] }] })[0]!.values[0]).toBeNaN();
  const m = toSeries({ resultType: 'matrix', result: [{ metric: {}, values: [[1, '+Inf'], [2, '-Inf']] }] });
  expect([...m[0]!.values]).toEqual([Infinity, -Infinity]);
  const h = toSeries({ resultType: 'matrix', result: [{ metric: {}, histograms: [[5, { count: '7', sum: '1' }]] }] });
  expect([...h[0]!.values]).toEqual([7]);
  expect(number('1e3')).toBe(1000);
});

it('escapes', () => {
  expect(escapeString('a"b\\c\n')).toBe('a\\"b\\\\c\\n');
  expect(escapeRegex('a.b"')).toBe('a\\\\.b\\"');
});

it('flattens streams and orders nanoseconds', () => {
  const e = entriesOf([{ stream: { app: 'x' }, values: [['2', 'b', { structuredMetadata: { u: '1' }, parsed: { k: 'v' } }], ['10', 'c']] }]);
  expect(e.map((x) => x.line)).toEqual(['b', 'c']);
  expect(e[0]!.meta).toEqual({ u: '1' });
  expect(e[1]!.parsed).toEqual({});
  expect(compareNs('2', '10')).toBeLessThan(0);
  expect(compareNs('1795466400000000001', '1795466400000000000')).toBeGreaterThan(0);
});

it('sums trace summaries', () => {
  const s = toSummary({ traceID: 'a1', durationMs: 3000, startTimeUnixNano: '1795466604000000000', serviceStats: { b: { spanCount: 2 }, a: { spanCount: 4, errorCount: 2 } }, spanSets: [{ matched: 2 }] });
  expect(s).toMatchObject({ spans: 6, errors: 2, matched: 2, services: ['a', 'b'], start: 1795466604000, rootServiceName: '' });
  expect(toSummary({ traceID: 'x' })).toMatchObject({ spans: 0, durationMs: 0 });
});

it('turns bucket series into a grid', () => {
  const h = toHeatmap([
    { labels: [{ key: '__bucket', value: { doubleValue: 0.002 } }], samples: [{ timestampMs: '2000', value: 3 }, { timestampMs: '1000' }] },
    { labels: [{ key: '__bucket', value: { doubleValue: 0.001 } }], samples: [{ timestampMs: '1000', value: 1 }] },
    { labels: [], samples: [{ timestampMs: '3000', value: 9 }] },
  ]);
  expect(h.buckets).toEqual([1, 2]);
  expect(h.times).toEqual([1000, 2000]);
  expect(h.counts.map((c) => [...c])).toEqual([[1, 0], [0, 3]]);
  expect(h.max).toBe(3);
});

it('asks for the lines around one in its own stream and knows its place', async () => {
  const asked: string[] = [];
  const answer = (body: unknown) => vi.stubGlobal('fetch', (url: string) => Promise.resolve(new Response((asked.push(url), JSON.stringify(body)))));
  const e = { ns: '5', line: 'b', stream: { app: 'a"b' }, meta: {}, parsed: { level: 'x' } };
  answer({ entry: { time: '5', line: 'b', metadata: { u: '1' } }, before: [{ time: '4', line: 'a' }], after: [] });
  const { entries, self } = await logContext(e, 50);
  expect(new URL(asked[0]!, 'http://x').searchParams.get('stream')).toBe('{app="a\\"b"}');
  expect(entries.map((x) => [x.ns, x.line, x.meta])).toEqual([['4', 'a', {}], ['5', 'b', { u: '1' }]]);
  expect(self).toBe(1);
  // A line that the query has rewritten is found by its time.
  answer({ entry: null, before: [{ time: '4', line: 'a' }, { time: '5', line: 'B' }], after: [{ time: '6', line: 'c' }] });
  expect((await logContext(e, 50)).self).toBe(1);
  vi.unstubAllGlobals();
});

it('knows whether there is a day to compare with', () => {
  const of = (value: number, change: number) => ({ headStats: { numSeries: 1, numLabelPairs: 1 }, seriesCountByMetricName: [{ name: 'up', value, change }], labelValueCountByLabelName: [], seriesCountByLabelValuePair: [] });
  expect([hasYesterday(of(3, 3)), hasYesterday(of(3, 1)), hasYesterday(of(3, 0))]).toEqual([false, true, true]);
});

it('reads the metrics that nobody asks for', async () => {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ status: 'success', data: { statsCollectedSince: 7, statsCollectedRecordsTotal: 9, records: [{ metricName: 'up', queryRequestsCount: 0 }] } }))));
  expect(await unusedMetrics(10)).toEqual({ names: ['up'], since: 7000, total: 9 });
  vi.unstubAllGlobals();
});
