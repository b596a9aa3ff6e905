// @vitest-environment happy-dom
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, expect, it, vi } from 'vitest';
import { ApiError } from '@/core/api/http';
import { TraceCost } from './cost';

const wrong = new ApiError('parse error at line 1, col 2: unexpected $end', 400, { line: 1, col: 2 });

vi.mock('@/app/time', () => ({ useTime: () => ({ range: { from: 0, to: 1 } }) }));
vi.mock('@/core/api/tempo', () => ({ explainTraces: () => Promise.reject(wrong) }));
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

let host: HTMLElement;
const render = async (shown: unknown) => {
  host = document.createElement('div');
  await act(async () => createRoot(host).render(<QueryClientProvider client={new QueryClient()}><TraceCost query="{" shown={shown} /></QueryClientProvider>));
  await act(() => vi.waitFor(() => expect(host.querySelector('[role=alert], .title')).not.toBeNull()));
};
afterEach(() => vi.clearAllMocks());

it('shows why there is no plan', async () => {
  await render(undefined);
  expect(host.querySelector('[role=alert]')!.textContent).toContain('unexpected $end');
});

it('does not repeat the error of the search', async () => {
  await render(new ApiError(wrong.message, 400, wrong.position));
  expect(host.querySelector('[role=alert]')).toBeNull();
  expect(host.textContent).toContain('No plan');
  await render(new ApiError('query too broad', 422));
  expect(host.querySelector('[role=alert]')).not.toBeNull();
});
