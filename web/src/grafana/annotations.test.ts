import { describe, expect, it } from 'vitest';
import { answerable, readAnnotation, seriesMarks } from './annotations';

const series = (times: number[], labels = {}, values = times.map(() => 1)) => ({ labels, times: Float64Array.from(times), values: Float64Array.from(values) });

describe('annotations', () => {
  it('read both forms of a query', () => {
    expect(readAnnotation({ name: 'a', expr: 'up == 0', iconColor: 'red', tagKeys: 'job, instance', step: '30s' })).toMatchObject({ expr: 'up == 0', color: 'red', tags: ['job', 'instance'], step: '30s', enable: true });
    expect(readAnnotation({ name: 'b', target: { expr: '{app="x"} |= "deploy"', maxLines: 20 }, datasource: { type: 'loki', uid: 'x' } })).toMatchObject({ expr: '{app="x"} |= "deploy"', limit: 20 });
    expect(readAnnotation({ builtIn: 1, name: 'Annotations & Alerts', datasource: '-- Grafana --' }).builtIn).toBe(true);
    expect(readAnnotation({ filter: { exclude: true, ids: [1, 2] } }).only).toEqual({ exclude: true, ids: [1, 2] });
  });

  it('ask only what a signal of ours answers', () => {
    expect(answerable(readAnnotation({ expr: 'x', datasource: { type: 'loki' } }), [])).toBe(true);
    expect(answerable(readAnnotation({ expr: 'x', datasource: '-- Grafana --' }), [])).toBe(false);
    expect(answerable(readAnnotation({ expr: '', datasource: 'prometheus' }), [])).toBe(false);
  });

  it('mark runs of points, with labels filled in', () => {
    const a = readAnnotation({ name: 'Deploy', expr: 'x', titleFormat: '{{app}}', textFormat: 'version {{version}}', tagKeys: 'env' });
    expect(seriesMarks(a, series([10, 20, 30, 100], { app: 'shop', version: '2', env: 'prod' }), 10)).toMatchObject([
      { time: 10_000, end: 30_000, text: 'shop: version 2  #prod' },
      { time: 100_000, text: 'shop: version 2  #prod' },
    ]);
    expect(seriesMarks(a, series([100], {}), 10)[0]!.end).toBeUndefined();
  });

  it('can take the time from the value', () => {
    const a = readAnnotation({ name: 'Boot', expr: 'x', useValueForTime: 'on' });
    expect(seriesMarks(a, series([1, 2], {}, [1700000000000, 1700000000000]), 1).map((m) => m.time)).toEqual([1700000000000]);
  });
});
