import { describe, expect, it } from 'vitest';
import { field } from '../frames';
import type { Frame } from '../frames';
import { columns, linesOf, stacked } from './series';

const line = (name: string, value: number, custom: Record<string, unknown>): Frame => {
  const f = field(name, 'number', [value]);
  f.config.custom = custom;
  return { refId: name, kind: 'series', fields: [field('Time', 'time', [1000]), f] };
};

const tops = (frames: Frame[]) => {
  const lines = linesOf(frames);
  return stacked(lines, columns(lines).cols).cols.map((c) => c[0]);
};

describe('stacks', () => {
  const stack = { stacking: { group: 'A', mode: 'normal' } };

  it('keep a line out whose group is false', () => {
    expect(tops([line('total', 10, { stacking: { group: false, mode: 'normal' } }), line('used', 4, stack), line('free', 6, stack)])).toEqual([10, 4, 10]);
  });

  it('grow apart above and below the axis', () => {
    expect(tops([line('in', 1, stack), line('out', 2, { ...stack, transform: 'negative-Y' }), line('in 2', 3, stack), line('out 2', 4, { ...stack, transform: 'negative-Y' })])).toEqual([1, -2, 4, -6]);
  });

  it('are shares in percent', () => {
    const percent = { stacking: { group: 'A', mode: 'percent' } };
    expect(tops([line('a', 1, percent), line('b', 3, percent)])).toEqual([0.25, 1]);
  });
});
