import { expect, it } from 'vitest';
import { breakDown, formatPromForm, legendText, parsePromForm } from './builder';

it('reads and writes the same query', () => {
  for (const q of [
    'up',
    'up{job="a", instance!~"b.*"}',
    'rate(http_requests_total{code=~"5.."}[5m])',
    'sum by (job, code) (rate(http_requests_total[$__rate_interval]))',
    'topk(5, increase(x_total[1h]))',
    'histogram_quantile(0.95, sum by (le, job) (rate(d_bucket{a="b\\"c"}[$__rate_interval])))',
    '{job="a"}',
  ]) {
    const f = parsePromForm(q);
    expect(f, q).toBeDefined();
    expect(formatPromForm(f!)).toBe(q);
  }
  expect(formatPromForm(parsePromForm('sum(rate(x[5m])) by (job)')!)).toBe('sum by (job) (rate(x[5m]))');
  expect(parsePromForm('')).toMatchObject({ metric: '' });
});

it('leaves what it cannot show', () => {
  for (const q of ['a / b', 'sum(a) + sum(b)', 'sum without (x) (a)', 'rate(sum(x)[5m:])', 'a offset 5m', 'histogram_quantile(0.9, rate(x_bucket[5m]))', '(up)', 'sum(rate(x[5m])']) expect(parsePromForm(q), q).toBeUndefined();
});

it('breaks down by a label', () => {
  expect(breakDown('sum(rate(x[5m]))', 'job')).toBe('sum by (job) (rate(x[5m]))');
  expect(breakDown('sum by (a) (x)', 'job')).toBe('sum by (a, job) (x)');
  expect(breakDown('sum by (a) (x)', 'a')).toBe('sum by (a) (x)');
  expect(breakDown('histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m])))', 'job')).toBe('histogram_quantile(0.95, sum by (le, job) (rate(x_bucket[5m])))');
  expect(breakDown('x', 'job')).toBe('sum by (job) (x)');
  expect(breakDown('sum(a) / sum(b)', 'job')).toBe('sum by (job) (a) / sum(b)');
});

it('fills legends', () => {
  expect(legendText('{{job}} at {{ instance }}{{no}}', { job: 'a', instance: 'b' })).toBe('a at b');
});
