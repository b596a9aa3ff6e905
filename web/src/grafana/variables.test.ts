import { expect, it } from 'vitest';
import type { Variable } from './model';
import { addFilters, all, applyRegex, choose, customOptions, queryText, readFilters, readQuery, resolveVariables, sortOptions, valuesOf, writeFilter } from './variables';
import { interpolate } from './template';

const variable = (v: Partial<Variable>): Variable => ({ name: 'v', type: 'query', label: 'v', hide: 'no', multi: false, includeAll: false, allValue: undefined, regex: '', sort: 0, refresh: 1, source: undefined, query: '', options: [], current: undefined, auto: false, autoCount: 30, autoMin: '10s', ...v });
const options = (...xs: string[]) => xs.map((x) => ({ text: x, value: x }));

it.each([
  ['label_values(up, job)', { kind: 'label_values', match: 'up', label: 'job' }],
  ['label_values(up{a="x,y", b=~"$c"}, job)', { kind: 'label_values', match: 'up{a="x,y", b=~"$c"}', label: 'job' }],
  ['label_values(job)', { kind: 'label_values', match: undefined, label: 'job' }],
  ['label_names()', { kind: 'label_names', match: undefined }],
  ['metrics(.*_total)', { kind: 'metrics', pattern: '.*_total' }],
  ['query_result(topk(5, up))', { kind: 'query_result', expr: 'topk(5, up)' }],
  ['up{job="x"}', { kind: 'series', match: 'up{job="x"}' }],
  [{ query: 'label_values(up, job)', refId: 'x' }, { kind: 'label_values', match: 'up', label: 'job' }],
  [{ label: 'app', stream: '{a="b"}', type: 1 }, { kind: 'label_values', match: '{a="b"}', label: 'app' }],
  [{ qryType: 1, query: 'label_values(up, job)' }, { kind: 'label_values', match: 'up', label: 'job' }],
])('reads %s', (query, want) => expect(readQuery(variable({ query }))).toEqual(want));

it('applies regular expressions', () => {
  expect(applyRegex(options('x{a="1"} 3 4', 'x{a="2"} 3 4'), '/a="(\\d)"/').map((o) => o.value)).toEqual(['1', '2']);
  expect(applyRegex(options('one:1'), '/(?<text>\\w+):(?<value>\\d)/')).toEqual([{ text: 'one', value: '1' }]);
  expect(applyRegex(options('ab', 'cd'), 'a.').map((o) => o.value)).toEqual(['ab']);
});

it('sorts', () => {
  const list = options('b10', 'b2', 'A1');
  expect(sortOptions(list, 1).map((o) => o.text)).toEqual(['A1', 'b10', 'b2']);
  expect(sortOptions(list, 3).map((o) => o.text)).toEqual(['A1', 'b2', 'b10']);
  expect(sortOptions(list, 4).map((o) => o.text)).toEqual(['b10', 'b2', 'A1']);
});

it('reads custom values', () => expect(customOptions('a, b : c , d\\,e')).toEqual([{ text: 'a', value: 'a' }, { text: 'b', value: 'c' }, { text: 'd,e', value: 'd,e' }]));

it('chooses', () => {
  const v = variable({ multi: true, includeAll: true });
  expect(choose(v, options('a', 'b'), undefined)).toEqual([all]);
  expect(choose(v, options('a', 'b'), ['a', 'b'])).toEqual(['a', 'b']);
  expect(choose(v, options('a'), ['gone'])).toEqual(['gone']);
  expect(choose(v, options('a'), ['All'])).toEqual([all]);
  expect(choose(variable({ current: ['b'] }), options('a', 'b'), undefined)).toEqual(['b']);
  expect(choose(variable({ current: ['gone'] }), options('a', 'b'), undefined)).toEqual(['a']);
});

it('resolves chains in order', async () => {
  const list = [
    variable({ name: 'ds', type: 'datasource', query: 'prometheus' }),
    variable({ name: 'env', type: 'custom', query: 'prod,dev', current: ['dev'] }),
    variable({ name: 'job', query: 'label_values(up{env="$env"}, job)', multi: true, includeAll: true, source: { uid: '$ds' } }),
    variable({ name: 'all', type: 'custom', query: 'x,y', includeAll: true, allValue: '.*' }),
    variable({ name: 'step', type: 'interval', query: '1m,5m', auto: true }),
  ];
  const asked: string[] = [];
  const fetch = async <T>(key: string): Promise<T> => {
    asked.push(key);
    return ['a', 'b'] as T;
  };
  const out = valuesOf(await resolveVariables(list, { step: ['5m'] }, { from: 0, to: 3_600_000 }, {}, fetch));
  expect(asked[0]).toContain('up{env=\\"dev\\"}');
  expect(interpolate('$ds $job $all $step', out)).toBe('pharos-metrics (a|b) .* 5m');
});

it('keeps filters in the address', () => {
  const f = { key: 'job', operator: '=~', value: 'a|b' };
  expect(readFilters([writeFilter(f)])).toEqual([f]);
});

it.each([
  ['up', 'up{x="1"}'],
  ['sum by (job) (rate(http_requests_total{a="b"}[5m])) / count(up)', 'sum by (job) (rate(http_requests_total{a="b", x="1"}[5m])) / count(up{x="1"})'],
  ['{a="}"} |= "x{y}"', '{a="}", x="1"} |= "x{y}"'],
  ['up offset 5m', 'up{x="1"} offset 5m'],
])('adds filters to %s', (expr, want) => expect(addFilters(expr, [{ key: 'x', operator: '=', value: '1' }])).toBe(want));

it.each(['label_values(up{a="x,y"}, job)', 'label_values(job)', 'label_names()', 'metrics(node_.*)', 'query_result(topk(5, sum by (job) (up)))', 'up{job="a"}'])('writes %s as it reads it', (query) => {
  expect(queryText(readQuery(variable({ query })))).toBe(query);
});
