// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import type { JSX } from 'react';
import { beforeEach, expect, it } from 'vitest';
import { ApiError } from '@/core/api/http';
import { CostLine, Empty, ErrorBox, Partial, Spark } from './kit';

let host: HTMLElement;
beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
});
const render = (el: JSX.Element) => {
  host = document.createElement('div');
  act(() => createRoot(host).render(el));
};

it('points at the mistake', () => {
  render(<ErrorBox error={new ApiError('1:7: parse error', 400, { line: 1, col: 7 })} query="sum by(" />);
  expect(host.querySelector('[role=alert]')).not.toBeNull();
  expect(host.querySelector('pre')!.textContent).toBe('sum by(\n      ^');
});

it('keeps the caret under the character of a long line', () => {
  const query = `${'a'.repeat(150)}!${'b'.repeat(100)}`;
  render(<ErrorBox error={new ApiError('x', 400, { line: 1, col: 151 })} query={query} />);
  const [line, caret] = host.querySelector('pre')!.textContent!.split('\n');
  expect(line![caret!.indexOf('^')]).toBe('!');
});

it('says plain errors without a place', () => {
  render(<ErrorBox error="boom" query="x" />);
  expect(host.querySelector('pre')).toBeNull();
  expect(host.textContent).toContain('boom');
});

it('tells the four states apart', () => {
  render(<Empty title="No lines">why</Empty>);
  expect(host.querySelector('[role=status]')!.textContent).toBe('No lineswhy');
  render(<Partial warnings={[]} />);
  expect(host.textContent).toBe('');
  render(<Partial warnings={['a', 'b']} />);
  expect(host.textContent).toBe('a · b');
});

it('writes costs and draws sparklines with gaps', () => {
  render(<CostLine cost={{ ms: 12.4, bytes: 2048 }} parts={['3 series', false, undefined]} />);
  expect([...host.querySelectorAll('.cost > span')].map((s) => s.textContent)).toEqual(['3 series', '2 KiB received', '12 ms']);
  render(<Spark values={[1, NaN, 3, 4]} />);
  expect(host.querySelector('path')!.getAttribute('d')!.match(/M/g)!.length).toBe(2);
});
