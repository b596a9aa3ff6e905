import { describe, expect, it } from 'vitest';
import type { RawEntry } from '../api/loki';
import { addFilter, addLineFilter, isLogQuery, mentionQuery, selectorEnd, selectorOf, volumeQuery } from './logql';
import { fieldsOf, normalizeLevel, Ring, serviceOf, spanIdOf, summarizeFields, toRow, traceIdOf } from './rows';

const entry = (line: string, over: Partial<RawEntry> = {}): RawEntry => ({ ns: '1795466400123456789', line, stream: { service_name: 'cart' }, meta: {}, parsed: {}, ...over });

describe('rows', () => {
  it('takes the level from metadata, labels or the line', () => {
    expect(toRow(entry('x', { meta: { detected_level: 'error' } }), 0).level).toBe('error');
    expect(toRow(entry('x', { stream: { level: 'WARNING' } }), 0).level).toBe('warn');
    expect(toRow(entry('{"level":"debug","m":1}'), 0).level).toBe('debug');
    expect(toRow(entry('ts=1 level=fatal'), 0).level).toBe('critical');
    expect(toRow(entry('hello'), 0).level).toBe('unknown');
    expect(normalizeLevel('INFO2')).toBe('info');
  });
  it('keeps nanoseconds and computes milliseconds', () => {
    const r = toRow(entry('x'), 3);
    expect(r.time).toBe(1795466400123);
    expect(r.id).toBe('1795466400123456789-3');
  });
  it('finds trace and span ids', () => {
    const id = '4bf92f3577b34da6a3ce929d0e0e4736';
    expect(traceIdOf(entry('x', { meta: { trace_id: id } }))).toBe(id);
    expect(traceIdOf(entry(`{"traceId":"${id}"}`))).toBe(id);
    expect(traceIdOf(entry(`msg trace_id=${id} z`))).toBe(id);
    expect(traceIdOf(entry('trace_id=xyz'))).toBeUndefined();
    expect(spanIdOf(entry('{"span_id":"00f067aa0ba902b7"}'))).toBe('00f067aa0ba902b7');
    expect(serviceOf(entry('x'))).toBe('cart');
  });
  it('lists and summarises fields', () => {
    const a = toRow(entry('x', { parsed: { k: '1' } }), 0);
    const b = toRow(entry('y', { parsed: { k: '1' }, meta: { m: 'z' } }), 1);
    expect(fieldsOf(b.entry).map((f) => `${f.kind}:${f.name}`)).toEqual(['stream:service_name', 'meta:m', 'parsed:k']);
    const s = summarizeFields([a, b]);
    expect(s.map((f) => f.name)).toEqual(['service_name', 'm', 'k']);
    expect(s[2]).toMatchObject({ rows: 2, distinct: 1, values: [{ value: '1', count: 2 }] });
  });
  it('keeps the newest in the ring', () => {
    const r = new Ring<number>(3);
    r.push([1, 2]);
    r.push([3, 4, 5]);
    expect(r.rows()).toEqual([3, 4, 5]);
    expect(r.evicted).toBe(2);
    r.clear();
    expect(r.total).toBe(0);
  });
});

describe('logql edits', () => {
  it('finds the selector whatever is quoted', () => {
    expect(selectorEnd('{a="}"} |= "x"')).toBe(6);
    expect(selectorEnd('{a=`}`,b="\\"}"}')).toBe(14);
    expect(selectorEnd('rate({a="b"}[1m])')).toBe(11);
    expect(selectorEnd('# {x}\n{a="b"}')).toBe(12);
    expect(selectorEnd('up')).toBe(-1);
    expect(selectorOf('{a="b"} | json')).toBe('{a="b"}');
  });
  it('knows log from metric queries', () => {
    expect(isLogQuery(' {a="b"}')).toBe(true);
    expect(isLogQuery('# c\n{a="b"}')).toBe(true);
    expect(isLogQuery('rate({a="b"}[1m])')).toBe(false);
  });
  it('adds filters', () => {
    expect(addFilter('{a="b"} | json', 'stream', 'c', 'd"e', true)).toBe('{a="b", c="d\\"e"} | json');
    expect(addFilter('{a="b"}', 'parsed', 'code', '500', false)).toBe('{a="b"} | code!="500"');
    expect(addFilter('', 'stream', 'a', 'b', true)).toBe('{a="b"}');
    expect(addFilter('{}', 'stream', 'a', 'b', true)).toBe('{a="b"}');
    expect(addLineFilter('{a="b"}', 'x"y')).toBe('{a="b"} |= "x\\"y"');
  });
  it('finds the companion of a trace query', () => {
    const id = '4bf92f3577b34da6a3ce929d0e0e4736';
    expect(mentionQuery(`{service_name="a"} | trace_id="${id}"`)).toBe(`{service_name="a"} |= "${id}"`);
    expect(mentionQuery(`{a=~".+"} | trace_id="${id}" | span_id="00f067aa0ba902b7"`)).toBe(`{a=~".+"} |= "${id}" |= "00f067aa0ba902b7"`);
    expect(mentionQuery(`{a="b"} | json | trace_id="${id}"`)).toBeUndefined();
    expect(mentionQuery('{a="b"}')).toBeUndefined();
  });
  it('wraps for the volume chart', () => {
    expect(volumeQuery('{a="b"} # why', 30)).toBe('sum by (detected_level) (count_over_time({a="b"} # why\n[30s]))');
  });
});
