// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

vi.mock('@/app/url', () => ({ GoLink: ({ children, to }: { children: React.ReactNode; to: string }) => <a href={to}>{children}</a> }));

import type { ChartSeries } from '@/viz/chart';
import { Legend } from './legend';

const make = (name: string, color: number, ...values: number[]): ChartSeries => ({ key: name, name, labels: { job: name }, color, times: Float64Array.from(values, (_, i) => i), values: Float64Array.from(values) });
const series = [make('cart', 0, 1, 5), make('web', 1, 9, 2)];

let host: HTMLElement;
beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  host = document.createElement('div');
  document.body.append(host);
});
afterEach(() => host.remove());

const names = () => [...host.querySelectorAll('tbody tr')].map((r) => r.querySelector('.series')!.textContent);

it('sorts by the clicked column', () => {
  act(() => createRoot(host).render(<Legend series={series} unit="none" shown={undefined} onToggle={() => undefined} />));
  expect(names()).toEqual(['web', 'cart']);
  const button = (text: string) => [...host.querySelectorAll('th button')].find((b) => b.textContent?.includes(text)) as HTMLElement;
  act(() => button('Last').click());
  expect(names()).toEqual(['cart', 'web']);
  act(() => button('Last').click());
  expect(names()).toEqual(['web', 'cart']);
  expect(host.querySelector('th[aria-sort="ascending"]')?.textContent).toBe('Last');
});

it('shows statistics, links and which series are hidden', () => {
  const toggle = vi.fn();
  act(() => createRoot(host).render(<Legend series={series} unit="s" shown={new Set(['web'])} onToggle={toggle} />));
  const row = host.querySelectorAll('tbody tr')[1]!;
  expect([...row.querySelectorAll('td.r')].slice(0, 4).map((c) => c.textContent)).toEqual(['5 s', '1 s', '5 s', '3 s']);
  expect(row.hasAttribute('data-off')).toBe(true);
  expect(row.querySelectorAll('a').length).toBe(2);
  act(() => (row.querySelector('.series') as HTMLElement).dispatchEvent(new MouseEvent('click', { bubbles: true, ctrlKey: true })));
  expect(toggle).toHaveBeenCalledWith('cart', true);
});
