import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { equal, JsonError, parseText, patchText } from './jsontext';
import { migrate } from './migrate';
import { arr, clone, num, obj } from './model';
import type { Json } from './model';

describe('parseText', () => {
  it.each(['{}', '[]', ' {"a": [1, -2.5e3, true, false, null, "x\\u00e9\\n"]} ', '"x"', '{"a":{"a":1},"a":2}', '{"__proto__":{"x":1}}'])('reads %s as JSON.parse does', (text) => {
    expect(parseText(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['{"a": 1,}', 'No comma may stand before }', 1, 9],
    ['{"a": 1\n  "b": 2}', 'A comma or } is expected, not "', 2, 3],
    ['{a: 1}', 'The name of a member in double quotes is expected', 1, 2],
    ['{"a" 1}', 'A colon is expected after "a"', 1, 6],
    ['{"a": tru}', 'tru is no value; texts stand in double quotes', 1, 7],
    ['[1, 2', 'The text ends before the closing ]', 1, 6],
    ['["x\n"]', 'This text has no closing quote', 1, 2],
    ['["\\x"]', 'This text has an escape that JSON does not know', 1, 2],
    ['[01]', '01 is no value; texts stand in double quotes', 1, 2],
    ['{} x', 'Nothing may follow the end of the value', 1, 4],
    ['', 'The text ends where a value is expected', 1, 1],
    ['['.repeat(1000), 'More than 200 values inside each other', 1, 202],
  ])('says what is wrong in %s', (text, message, line, col) => {
    try {
      parseText(text);
      expect.unreachable();
    } catch (err) {
      expect(err).toBeInstanceOf(JsonError);
      const e = err as JsonError;
      expect([e.message, e.line, e.col]).toEqual([message, line, col]);
    }
  });
});

describe('patchText', () => {
  const patch = (text: string, f: (d: Json) => void) => {
    const before = JSON.parse(text) as Json;
    const after = clone(before);
    f(after);
    const out = patchText(text, before, after);
    expect(JSON.parse(out)).toEqual(after);
    return out;
  };

  it('replaces a value and nothing else', () => {
    expect(patch('{ "a" : 1.0 ,"b":\t[ 1e3, 2 ],\r\n "c":"\\u00e9" }', (d) => (d['c'] = 'x'))).toBe('{ "a" : 1.0 ,"b":\t[ 1e3, 2 ],\r\n "c":"x" }');
  });

  it('adds and removes members in the manner of the text', () => {
    expect(patch('{"a":1,"b":2}', (d) => (d['c'] = [1, 2]))).toBe('{"a":1,"b":2,"c":[1,2]}');
    expect(patch('{\n    "a": 1,\n    "b": {}\n}\n', (d) => (obj(d['b'])['x'] = { y: 1 }))).toBe('{\n    "a": 1,\n    "b": {\n        "x": {\n            "y": 1\n        }\n    }\n}\n');
    expect(patch('{\n  "a": 1,\n  "b": 2.50\n}', (d) => delete d['a'])).toBe('{\n  "b": 2.50\n}');
    expect(patch('{\n  "a": 1\n}', (d) => delete d['a'])).toBe('{}');
    expect(patch('{"a" : 1 ,  "b":2,\n "c": 3}', (d) => (d['d'] = 4))).toBe('{"a" : 1 ,  "b":2,\n "c": 3,\n "d": 4}'.replace('"d": 4', '"d" : 4'));
  });

  it('knows the elements of lists again', () => {
    const text = '{"list": [{"name": "a", "x": 1.0}, {"name": "b", "x": 2.0}]}';
    expect(patch(text, (d) => (d['list'] = arr(d['list']).toReversed()))).toBe('{"list": [{"name": "b", "x": 2.0}, {"name": "a", "x": 1.0}]}');
    expect(patch(text, (d) => (d['list'] = arr(d['list']).slice(1)))).toBe('{"list": [{"name": "b", "x": 2.0}]}');
    expect(patch(text, (d) => (obj(arr(d['list'])[1])['name'] = 'c'))).toBe('{"list": [{"name": "a", "x": 1.0}, {"name": "c", "x": 2.0}]}');
    expect(patch('{"tags": ["a", "b"]}', (d) => (d['tags'] = ['a', 'b', 'c']))).toBe('{"tags": ["a", "b", "c"]}');
  });

  const dirs = ['./testdata/', '../../../internal/dashboard/builtin/'].map((d) => new URL(d, import.meta.url).pathname);
  const files = dirs.flatMap((d) => readdirSync(d).filter((f) => f.endsWith('.json')).map((f) => join(d, f)));

  it.each(files.map((f) => [f.split('/').pop(), f]))('leaves %s alone but for what is changed', (_name, file) => {
    const text = readFileSync(file, 'utf8');
    const before = migrate(JSON.parse(text) as Json);
    expect(patchText(text, before, before)).toBe(text);

    const renamed = { ...clone(before), title: 'Another title' };
    const out = patchText(text, before, renamed);
    expect(equal(JSON.parse(out), { ...JSON.parse(text), title: 'Another title' })).toBe(true);
    expect(Math.abs(out.length - text.length)).toBeLessThan(80);

    const panel = clone(before);
    const p = obj(arr(panel['panels']).find((x) => obj(x)['type'] !== 'row'));
    obj(obj(p['fieldConfig'])['defaults'])['unit'] = 'pharosunit';
    const changed = patchText(text, before, panel);
    expect(equal(migrate(JSON.parse(changed) as Json), panel)).toBe(true);

    const fewer = clone(before);
    fewer['panels'] = arr(fewer['panels']).filter((x) => num(obj(x)['id']) !== num(p['id']));
    expect(equal(migrate(JSON.parse(patchText(text, before, fewer)) as Json), fewer)).toBe(true);
  });
});
