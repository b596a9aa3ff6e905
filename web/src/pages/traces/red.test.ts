import { expect, it } from 'vitest';
import { redSeries } from './red';

const f = (...v: number[]) => Float64Array.from(v);

it('adds the rates up and takes the failed share', () => {
  const s = redSeries([{ labels: { status: 'error' }, times: f(10), values: f(1) }, { labels: { status: 'ok' }, times: f(10, 20), values: f(3, 2) }], [{ labels: { p: '0.95' }, times: f(10), values: f(2) }, { labels: { p: '0.5' }, times: f(10), values: f(1) }]);
  expect([...s['rate']![0]!.values]).toEqual([4, 2]);
  expect([...s['errors']![0]!.values]).toEqual([0.25, 0]);
  expect(s['duration']!.map((x) => x.name)).toEqual(['p50', 'p95']);
  expect(redSeries([], []).rate).toEqual([]);
});
