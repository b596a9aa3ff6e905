import { expect, it } from 'vitest';
import { durationText, emptyForm, formatForm, isDuration, parseForm, withCondition, withTraceDuration } from './builder';

it('reads and writes the same query', () => {
  const q = '{ resource.service.name = "a\\"b" && name = "GET /" && status = error && duration >= 100ms && duration <= 2s && span.x = "a && b" }';
  const f = parseForm(q)!;
  expect(f).toEqual({ service: 'a"b', name: 'GET /', status: 'error', minDuration: '100ms', maxDuration: '2s', rest: ['span.x = "a && b"'] });
  expect(formatForm(f)).toBe(q);
});

it('knows the empty filter', () => {
  expect(parseForm('{}')).toEqual(emptyForm);
  expect(formatForm(emptyForm)).toBe('{}');
});

it('leaves what it cannot show', () => {
  expect(parseForm('{ a = 1 } >> { b = 2 }')).toBeUndefined();
  expect(parseForm('{ status = error || duration > 1s }')).toBeUndefined();
  expect(parseForm('{} | count() > 2')).toBeUndefined();
  expect(parseForm('{ (status = error || duration > 1s) && name = "x" }')?.rest).toEqual(['(status = error || duration > 1s)']);
});

it('adds conditions', () => {
  expect(withCondition('{}', '{ span.a = "b" }')).toBe('{ span.a = "b" }');
  expect(withCondition('{ status = error }', '{ span.a = "b" }')).toBe('{ status = error && span.a = "b" }');
  expect(withCondition('{ a = 1 } >> { b = 2 }', '{ c = 3 }')).toBeUndefined();
});

it('narrows by duration', () => {
  expect(withTraceDuration('{ status = error }', 0.5, 12_000)).toBe('{ status = error && traceDuration >= 500us && traceDuration <= 12s }');
  expect(withTraceDuration('{ traceDuration >= 1ms }', 10, 20)).toBe('{ traceDuration >= 10ms && traceDuration <= 20ms }');
  expect(durationText(0)).toBe('1us');
  expect(isDuration('1.5s')).toBe(true);
  expect(isDuration('1 s')).toBe(false);
});
