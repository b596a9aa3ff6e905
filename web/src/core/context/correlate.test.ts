import { expect, it } from 'vitest';
import { around, exemplarTrace, logsForTrace, metricMatcher, metricsForSpan, metricService, tracesForService } from './correlate';

it('maps names between signals', () => {
  expect(metricService({ job: 'shop/cart' })).toBe('cart');
  expect(metricService({ service_name: 'web', job: 'x' })).toBe('web');
  expect(exemplarTrace({ traceID: 'a' })).toBe('a');
  expect(metricMatcher('a.b', 'job')).toBe('job=~"(.+/)?a\\\\.b"');
  expect(metricMatcher('cart', 'service_name')).toBe('service_name="cart"');
});

it('builds queries', () => {
  expect(logsForTrace('ab', { service: 'cart', spanId: 'cd' })).toBe('{service_name="cart"} | trace_id="ab" | span_id="cd"');
  expect(logsForTrace('ab')).toBe('{service_name=~".+"} | trace_id="ab"');
  expect(tracesForService('cart', 'status = error')).toBe('{ resource.service.name = "cart" && status = error }');
});

it('pads windows', () => expect(around(1_000_000, 2_000_000)).toEqual({ from: '700000', to: '2300000' }));

it('chooses metrics by the kind of span', () => {
  expect(metricsForSpan('server', ['http.route'], 'job="a"').q).toContain('http_server_request_duration_seconds_bucket{job="a"}');
  expect(metricsForSpan('client', ['db.system.name', 'server.address'], 'job="a"').q).toContain('db_client_operation_duration_seconds_bucket');
  expect(metricsForSpan('consumer', ['messaging.system'], 'job="a"').q).toContain('messaging_process');
  expect(metricsForSpan('internal', ['x'], 'job="a"')).toEqual({ match: 'job="a"' });
});
