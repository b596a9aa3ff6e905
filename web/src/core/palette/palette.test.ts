import { expect, it } from 'vitest';
import { assign, hash, labelKey, paletteSize, serviceColor } from './palette';

it('does not depend on label order', () => expect(labelKey({ b: '2', a: '1' })).toBe(labelKey({ a: '1', b: '2' })));

it('gives every series of a small chart its own colour', () => {
  const keys = Array.from({ length: paletteSize }, (_, i) => `service=s${i}`);
  expect(new Set(assign(keys)).size).toBe(paletteSize);
});

it('keeps the colour of a series when nothing collides', () => {
  expect(assign(['a=1'])[0]).toBe(hash('a=1') % paletteSize);
});

it('does not depend on the order of series', () => {
  const keys = ['x=1', 'x=2', 'x=3', 'x=4', 'x=5'];
  const forward = assign(keys);
  const backward = assign([...keys].reverse()).reverse();
  expect(forward).toEqual(backward);
});

it('gives thirteen services thirteen colours and keeps them', () => {
  const names = Array.from({ length: 13 }, (_, i) => `svc${i}`);
  const first = names.map(serviceColor);
  expect(new Set(first).size).toBe(13);
  expect([...names].reverse().map(serviceColor).reverse()).toEqual(first);
  expect(first).not.toContain(7);
});
