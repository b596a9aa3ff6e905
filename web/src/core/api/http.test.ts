import { afterEach, expect, it, vi } from 'vitest';
import { ApiError, getJSON, positionOf, withParams } from './http';

afterEach(() => vi.unstubAllGlobals());

it('finds positions in messages', () => {
  expect(positionOf('invalid parameter "query": 1:5: parse error: unexpected end')).toEqual({ line: 1, col: 5 });
  expect(positionOf('parse error at line 2, col 14: syntax error')).toEqual({ line: 2, col: 14 });
  expect(positionOf('parse error at line 0, col 3: x')).toEqual({ line: 1, col: 3 });
  expect(positionOf('something else 12')).toBeUndefined();
});

it('builds query strings', () => {
  expect(withParams('/a', { x: 1, y: undefined, z: ['p', 'q'] })).toBe('/a?x=1&z=p&z=q');
  expect(withParams('/a')).toBe('/a');
});

it('turns JSON and plain-text errors into ApiError', async () => {
  vi.stubGlobal('fetch', async () => new Response('{"status":"error","errorType":"bad_data","error":"1:2: parse error: x"}', { status: 400 }));
  await expect(getJSON('/api/v1/query', {})).rejects.toMatchObject({ name: 'ApiError', status: 400, position: { line: 1, col: 2 } });
  vi.stubGlobal('fetch', async () => new Response('parse error at line 1, col 7: boo\n', { status: 400 }));
  await expect(getJSON('/loki', {})).rejects.toMatchObject({ message: 'parse error at line 1, col 7: boo', position: { line: 1, col: 7 } });
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('failed');
  });
  await expect(getJSON('/x', {})).rejects.toBeInstanceOf(ApiError);
});

it('posts very long queries', async () => {
  let seen: RequestInit | undefined;
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    seen = init;
    return new Response('{}');
  });
  await getJSON('/api/v1/query', { query: 'x'.repeat(5000) });
  expect(seen?.method).toBe('POST');
});
