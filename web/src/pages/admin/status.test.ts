import { expect, it } from 'vitest';
import { sections } from './status';

it('keeps the way to what was found', () => {
  const yaml = 'a: 1\nb:\n  c: x\n  d:\n    e: y\nf: 2\n';
  expect(sections(yaml, 'e:')).toBe('b:\n  d:\n    e: y');
  expect(sections(yaml, '')).toBe(yaml);
  expect(sections(yaml, 'b')).toBe('b:');
  expect(sections(yaml, 'nothing')).toBe('');
});
