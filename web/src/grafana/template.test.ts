import { expect, it } from 'vitest';
import { interpolate, intervalFor, intervals, references } from './template';
import type { Values } from './template';

const values: Values = {
  job: { values: ['a.b', 'c'], text: 'a.b + c', multi: true },
  one: { values: ['x/y'], text: 'X', multi: true },
  plain: { values: ['5m'], text: '5m', multi: false },
  __from: { values: ['1700000000000'], text: '', multi: false },
  '__dashboard.uid': { values: ['u'], text: 'u', multi: false },
};

it.each([
  ['up{job=~"$job"}', 'up{job=~"(a\\\\.b|c)"}'],
  ['up{job=~"${one}"}', 'up{job=~"x\\\\/y"}'],
  ['[[plain]] $plain ${plain:raw}', '5m 5m 5m'],
  ['${job:pipe} ${job:csv} ${job:regex}', 'a.b|c a.b,c (a\\.b|c)'],
  ['${job:glob} ${job:json}', '{a.b,c} ["a.b","c"]'],
  ['${job:singlequote} ${job:doublequote}', `'a.b','c' "a.b","c"`],
  ['${job:queryparam}', 'var-job=a.b&var-job=c'],
  ['${job:text} ${one:percentencode}', 'a.b + c x%2Fy'],
  ['${__from:date:iso} ${__from:date:seconds} $__from', '2023-11-14T22:13:20.000Z 1700000000 1700000000000'],
  ['${__dashboard.uid}', 'u'],
  ['$unknown ${unknown} rate(x[$__rate_interval])', '$unknown ${unknown} rate(x[$__rate_interval])'],
])('%s', (text, want) => expect(interpolate(text, values)).toBe(want));

it('shows what was chosen in titles', () => expect(interpolate('Jobs $job', values, 'text')).toBe('Jobs a.b + c'));
it('finds names', () => expect(references('$a ${b:csv} [[c]]')).toEqual(['a', 'b', 'c']));

it('chooses round intervals', () => {
  const hour = { from: 0, to: 3_600_000 };
  expect(intervalFor(hour, 1000, 1000)).toBe(5000);
  expect(intervalFor(hour, 1000, 15_000)).toBe(15_000);
  expect(intervals(15_000)['__rate_interval']!.values).toEqual(['1m']);
  expect(intervals(300_000)['__rate_interval']!.values).toEqual(['315s']);
  expect(intervals(300_000)['__interval']!.values).toEqual(['5m']);
});
