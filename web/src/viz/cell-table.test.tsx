// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, it, vi } from 'vitest';

vi.mock('@/ui/kit', () => ({ IconButton: ({ label, onClick }: { label: string; onClick: () => void }) => <button aria-label={label} onClick={onClick} /> }));

import { Histogram } from './histogram';

it('shows the bars as a table, newest first, without empty times', () => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  globalThis.ResizeObserver ??= class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  const host = document.createElement('div');
  const stacks = [
    { name: 'error', color: 'red', points: new Map([[60, 2], [180, 5]]) },
    { name: 'info', color: 'blue', points: new Map([[60, 1200]]) },
  ];
  act(() => createRoot(host).render(<Histogram stacks={stacks} range={{ from: 0, to: 180_000 }} step={60} height={100} label="Lines" />));
  expect(host.querySelectorAll('rect')).toHaveLength(3);
  act(() => host.querySelector<HTMLButtonElement>('[aria-label="View as table"]')!.click());
  expect(host.querySelector('svg')).toBeNull();
  expect([...host.querySelectorAll('thead th')].map((x) => x.textContent)).toEqual(['From', 'error', 'info', 'All']);
  expect([...host.querySelectorAll('tbody tr')].map((r) => [...r.querySelectorAll('td')].map((d) => d.textContent))).toEqual([
    ['5', '0', '5'],
    ['2', '1,200', '1,202'],
  ]);
});
