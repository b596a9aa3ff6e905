import { expect, it } from 'vitest';
import { addMatcher, defaultQuery, exemplarSource, formatLabels, metricOf, selector, seriesNames, toMetrics } from './promql';

it('folds histograms and keeps metadata', () => {
  const meta = new Map([['http_server_request_duration_seconds', { type: 'histogram', unit: '', help: 'Duration.' }]]);
  const m = toMetrics(['http_server_request_duration_seconds_bucket', 'http_server_request_duration_seconds_count', 'http_server_request_duration_seconds_sum', 'orders_total', 'up', 'x_bucket', 'x_count'], meta);
  expect(m.map((x) => `${x.name} ${x.type} ${x.unit}`)).toEqual(['http_server_request_duration_seconds histogram seconds', 'orders_total counter ', 'up unknown ', 'x histogram ']);
  expect(m[0]!.help).toBe('Duration.');
});

it('asks by type', () => {
  expect(defaultQuery({ name: 'a_total', type: 'counter', unit: '', help: '' })).toBe('sum(rate(a_total[$__rate_interval]))');
  expect(defaultQuery({ name: 'a', type: 'histogram', unit: '', help: '' }, 'x="y"')).toBe('histogram_quantile(0.95, sum by (le) (rate(a_bucket{x="y"}[$__rate_interval])))');
  expect(defaultQuery({ name: 'a', type: 'gauge', unit: '', help: '' })).toBe('a');
  expect(selector('a.b', 'x="y"')).toBe('{"a.b", x="y"}');
});

it('finds the metric', () => {
  expect(metricOf('sum by (job) (rate(http_requests_total{a="b c"}[5m]))')).toBe('http_requests_total');
  expect(metricOf('histogram_quantile(0.95, sum(rate(x_bucket[5m])) by (le))')).toBe('x_bucket');
  expect(metricOf('1 + 2')).toBeUndefined();
});

it('adds and replaces matchers', () => {
  expect(addMatcher('up', 'up', 'job', 'a"b')).toBe('up{job="a\\"b"}');
  expect(addMatcher('rate(x{a="1,2", b="}"}[5m]) / rate(x[5m])', 'x', 'a', '3')).toBe('rate(x{b="}", a="3"}[5m]) / rate(x{a="3"}[5m])');
  expect(addMatcher('xx + x', 'x', 'a', '1', '!=')).toBe('xx + x{a!="1"}');
});

it('names series by what differs', () => {
  expect(seriesNames([{ __name__: 'up', job: 'a', env: 'p' }, { __name__: 'up', job: 'b', env: 'p' }])).toEqual(['a', 'b']);
  expect(seriesNames([{ __name__: 'up' }])).toEqual(['up']);
  expect(seriesNames([{}])).toEqual(['value']);
  expect(seriesNames([{ a: '1', b: '2' }, { a: '2', b: '1' }])).toEqual(['a=1 b=2', 'a=2 b=1']);
  expect(formatLabels({ __name__: 'up', job: 'a' })).toBe('up{job="a"}');
  expect(formatLabels({})).toBe('{}');
});

it('asks buckets for exemplars', () => {
  expect(exemplarSource('sum(rate(http_server_request_duration_seconds_count{a="b"}[1m]))')).toBe('sum(rate(http_server_request_duration_seconds_bucket{a="b"}[1m]))');
  expect(exemplarSource('orders_count + x_seconds_bucket')).toBe('orders_count + x_seconds_bucket');
});
