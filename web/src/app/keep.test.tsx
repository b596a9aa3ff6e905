// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, it } from 'vitest';
import { useKept } from './keep';
import type { Kept } from './keep';

it('keeps the last answer of the same query until the next', () => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  let seen: Kept<number>[] = [];
  function Probe({ results, ids }: { results: { data: number | undefined; error: unknown }[]; ids: string[] }) {
    seen = useKept(results, ids);
    return null;
  }
  const root = createRoot(document.createElement('div'));
  const show = (results: { data: number | undefined; error: unknown }[], ids: string[]) => {
    act(() => root.render(<Probe results={results} ids={ids} />));
    return seen;
  };
  const none = { data: undefined, error: null };
  expect(show([none], ['a'])).toEqual([{ data: undefined, stale: false }]);
  expect(show([{ data: 1, error: null }], ['a'])).toEqual([{ data: 1, stale: false }]);
  expect(show([none, { data: 2, error: null }], ['a', 'b'])).toEqual([{ data: 1, stale: true }, { data: 2, stale: false }]);
  expect(show([none], ['c'])).toEqual([{ data: undefined, stale: false }]);
  expect(show([none], ['a'])).toEqual([{ data: undefined, stale: false }]);
  expect(show([{ data: undefined, error: new Error('x') }], ['a'])[0]!.data).toBeUndefined();
});
