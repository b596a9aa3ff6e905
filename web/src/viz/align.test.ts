import { expect, it } from 'vitest';
import { align, statsOf, valueRange } from './align';

it('fills the grid and leaves gaps', () => {
  const cols = align([{ times: Float64Array.of(10, 30.2), values: Float64Array.of(1, 3) }], { from: 10_000, to: 40_000 }, 10);
  expect(cols[0]).toEqual([10, 20, 30, 40]);
  expect(cols[1]).toEqual([1, null, 3, null]);
});

it('drops points outside and values that cannot be drawn', () => {
  const cols = align([{ times: Float64Array.of(0, 10, 20), values: Float64Array.of(1, NaN, Infinity) }], { from: 10_000, to: 20_000 }, 10);
  expect(cols[1]).toEqual([null, null]);
});

it('computes statistics', () => {
  expect(statsOf(Float64Array.of(1, NaN, 3))).toEqual({ last: 3, min: 1, max: 3, mean: 2 });
  expect(statsOf(Float64Array.of())).toEqual({ last: null, min: null, max: null, mean: null });
});

it('chooses value axes', () => {
  expect(valueRange(null, null)).toEqual([0, 1]);
  expect(valueRange(0, 0)).toEqual([0, 1]);
  expect(valueRange(5, 5)).toEqual([0, 6.25]);
  expect(valueRange(-5, -5)).toEqual([-6.25, 0]);
  expect(valueRange(1, 10)[0]).toBe(0);
  expect(valueRange(90, 100)[0]).toBeGreaterThan(80);
  expect(valueRange(90, 100, true)[0]).toBe(0);
});
