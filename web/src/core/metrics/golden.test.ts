import { expect, it } from 'vitest';
import { goldenByOperation, goldenByService } from './golden';

it('prefers HTTP, then RPC, then messages', () => {
  const g = goldenByService('job');
  const at = ['http_server', 'rpc_server', 'messaging_process'].map((m) => g.p95.indexOf(m));
  expect(at.every((x) => x > 0)).toBe(true);
  expect([...at].sort((a, b) => a - b)).toEqual(at);
  expect(g.rate.startsWith('sum by (job) (rate(http_server_request_duration_seconds_count[$__rate_interval])) or sum by (job)')).toBe(true);
  expect(g.errors).toContain('{http_response_status_code=~"5.."}');
  expect(g.exemplars.split(' or ').length).toBe(3);
});

it('names operations in one label and keeps the matchers', () => {
  const g = goldenByOperation('job="a"');
  expect(g.rate).toContain('label_replace(sum by (http_route) (rate(http_server_request_duration_seconds_count{job="a"}[$__rate_interval])), "operation", "$1", "http_route", "(.+)")');
  expect(g.errors).toContain('{job="a", error_type=~".+"}');
});
