import { expect, it } from 'vitest';
import { boxText, parseBox } from './explain';

it('writes boxes and reads them', () => {
  expect(boxText({ from: 1.4, to: 9, min: 0.5, max: 12.3456 })).toBe('1,9,0.5,12.346');
  expect(parseBox('1,9,0.5,12.346')).toEqual({ from: 1, to: 9, min: 0.5, max: 12.346 });
  expect(boxText({ from: 1, to: 9 })).toBe('1,9');
  expect(parseBox('1,9')).toEqual({ from: 1, to: 9 });
  for (const t of [undefined, '', 'a,b', '9,1', '1']) expect(parseBox(t)).toBeUndefined();
});
