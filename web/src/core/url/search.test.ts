import { expect, it } from 'vitest';
import { all, one, parseSearch, stringifySearch } from './search';

it('round-trips flat parameters and keeps unknown ones', () => {
  const text = '?q=up{job="a"}&q=down&from=now-1h&to=now&x=1';
  const s = parseSearch(text);
  expect(s).toEqual({ q: ['up{job="a"}', 'down'], from: 'now-1h', to: 'now', x: '1' });
  expect(parseSearch(stringifySearch(s))).toEqual(s);
});

it('drops empty values and keeps readable characters', () => {
  expect(stringifySearch({ a: '', b: undefined, c: 'x:y/z' })).toBe('?c=x:y/z');
  expect(stringifySearch({})).toBe('');
});

it('reads single and repeated values', () => {
  expect(one(['a', 'b'])).toBe('a');
  expect(one('')).toBeUndefined();
  expect(one(3)).toBeUndefined();
  expect(all('a')).toEqual(['a']);
  expect(all(undefined)).toEqual([]);
});

it('survives plus, percent and unicode', () => {
  const s = { q: 'a + b % "ж" & c=d#e' };
  expect(parseSearch(stringifySearch(s))).toEqual(s);
});
