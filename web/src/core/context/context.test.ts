import { expect, it } from 'vitest';
import { contextLogs, contextMetrics, contextOf, contextTraces, extendTrail } from './context';

it('builds the query of each signal', () => {
  const c = contextOf({ svc: 'check"out', env: 'prod', q: 'x' });
  expect(contextLogs(c)).toBe('{service_name="check\\"out", deployment_environment_name="prod"}');
  expect(contextTraces(c)).toBe('{ resource.service.name = "check\\"out" && resource.deployment.environment.name = "prod" }');
  expect(contextMetrics(c, 'service_name')).toBe('service_name="check\\"out"');
  expect(contextLogs(contextOf({ trace: 'a1' }))).toBe('{service_name=~".+"} | trace_id="a1"');
  expect(contextTraces({})).toBeUndefined();
  expect(contextLogs({})).toBeUndefined();
});

it('grows a trail without loops', () => {
  expect(extendTrail(['a', 'b'], 'c')).toEqual(['a', 'b', 'c']);
  expect(extendTrail(['a', 'b', 'c'], 'd')).toEqual(['b', 'c', 'd']);
  expect(extendTrail(['a', 'b', 'c'], 'b')).toEqual(['a', 'b']);
});
