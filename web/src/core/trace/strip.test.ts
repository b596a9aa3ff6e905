import { expect, it } from 'vitest';
import { hexId } from './otlp';
import { paint } from './strip';
import { buildTree, deepestFailure } from './tree';

const span = (id: number, parent: number, from: number, to: number, failed = false) => ({ spanId: String(id).padStart(16, '0'), ...(parent ? { parentSpanId: String(parent).padStart(16, '0') } : {}), name: `n${id}`, startTimeUnixNano: String(1_000_000_000n + BigInt(from) * 1_000_000n), endTimeUnixNano: String(1_000_000_000n + BigInt(to) * 1_000_000n), ...(failed ? { status: { code: 2 } } : {}) });
const tree = (spans: ReturnType<typeof span>[]) => buildTree({ resourceSpans: [{ scopeSpans: [{ spans }] }] });

it('paints every row at its place, failed ones on top', () => {
  const t = tree([span(1, 0, 0, 100), span(2, 1, 50, 100), span(3, 1, 90, 100, true)]);
  const s = { pixels: new Uint32Array(10 * 18), width: 10, height: 18, scale: 1 };
  paint(t, s, [7], 9);
  const row = (y: number) => [...s.pixels.subarray(y * 10, y * 10 + 10)].join('');
  expect(row(3)).toBe('7777777777');
  expect(row(7)).toBe('0000077777');
  expect(row(11)).toBe('0000000009');
});

it('uses the whole height however many rows there are', () => {
  const t = tree([span(1, 0, 0, 5000), ...Array.from({ length: 5000 }, (_, i) => span(i + 2, 1, i, i + 1))]);
  const s = { pixels: new Uint32Array(50 * 56), width: 50, height: 56, scale: 1 };
  paint(t, s, [7], 9);
  // A staircase: the middle of the height shows the middle of the time.
  expect(s.pixels[28 * 50 + 25]).toBe(7);
  expect(s.pixels[28 * 50 + 2]).toBe(0);
  expect(s.pixels[52 * 50 + 49]).toBe(7);
});

it('finds where an error began', () => {
  expect(deepestFailure(tree([span(1, 0, 0, 100, true), span(2, 1, 0, 50, true), span(3, 1, 60, 70, true), span(4, 3, 61, 65)]))).toBe(1);
  expect(deepestFailure(tree([span(1, 0, 0, 100), span(2, 1, 0, 50)]))).toBe(-1);
});

it('reads ids in base64', () => {
  for (const hex of ['00f067aa0ba902b7', '4bf92f3577b34da6a3ce929d0e0e4736', 'fffefdfcfbfaf9f8']) expect(hexId(btoa(String.fromCharCode(...hex.match(/../g)!.map((x) => Number.parseInt(x, 16)))))).toBe(hex);
  expect(hexId('AAAAAAAAAAA=')).toBe('');
  expect(hexId('not an id')).toBe('not an id');
});
