import { afterEach, expect, it, vi } from 'vitest';
import type { Panel } from './model';
import { runPanel } from './query';

afterEach(() => vi.unstubAllGlobals());

const ask = {
  panel: { id: 1, targets: [{ refId: 'A', raw: { expr: 'topk_max(1, up) default 0' } }] } as unknown as Panel,
  range: { from: 0, to: 60_000 },
  values: {},
  variables: [],
  filters: [],
  width: 100,
  panelById: () => undefined,
};

it('asks again in MetricsQL what is no PromQL', async () => {
  const dialects: (string | null)[] = [];
  vi.stubGlobal('fetch', async (address: string) => {
    const dialect = new URL(address, 'http://x').searchParams.get('dialect');
    dialects.push(dialect);
    if (dialect !== 'metricsql') return new Response('{"status":"error","error":"parse error: unknown function"}', { status: 400 });
    return new Response('{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[30,"1"]]}]}}');
  });
  const data = await runPanel(ask);
  expect(data.errors).toEqual([]);
  expect(data.frames).toHaveLength(1);
  expect(data.asked[0]?.source).toBe('MetricsQL');
  expect(dialects).toEqual([null, 'metricsql']);
});

it('tells the error of PromQL when neither knows it', async () => {
  vi.stubGlobal('fetch', async (address: string) => new Response(`{"status":"error","error":"no ${address.includes('metricsql') ? 'MetricsQL' : 'PromQL'}"}`, { status: 400 }));
  const data = await runPanel(ask);
  expect(data.errors).toEqual([{ refId: 'A', message: 'no PromQL' }]);
});
