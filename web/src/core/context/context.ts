/**
 * What the user is looking into, across pages: a service, an environment, a trace. It lives in the URL, every link
 * carries it, and a page that is opened without a query of its own starts from it.
 */
import { escapeString } from '../api/prometheus';
import { one } from '../url/search';
import type { Search } from '../url/search';
import { logsForTrace, metricMatcher } from './correlate';

export interface Context {
  service?: string | undefined;
  env?: string | undefined;
  trace?: string | undefined;
}

/** The parameters of a context, in the order of the chips. */
export const contextParams = ['svc', 'env', 'trace'] as const;
export const contextNames: Record<(typeof contextParams)[number], string> = { svc: 'service', env: 'env', trace: 'trace' };

export function contextOf(search: Search): Context {
  return { service: one(search['svc']), env: one(search['env']), trace: one(search['trace']) };
}

/** The log query that a context asks for, undefined without one. */
export function contextLogs(c: Context): string | undefined {
  if (c.trace) return logsForTrace(c.trace, { service: c.service });
  const parts = [c.service && `service_name="${escapeString(c.service)}"`, c.env && `deployment_environment_name="${escapeString(c.env)}"`].filter(Boolean);
  return parts.length > 0 ? `{${parts.join(', ')}}` : undefined;
}

export function contextTraces(c: Context): string | undefined {
  const parts = [c.trace && `trace:id = "${escapeString(c.trace)}"`, c.service && `resource.service.name = "${escapeString(c.service)}"`, c.env && `resource.deployment.environment.name = "${escapeString(c.env)}"`].filter(Boolean);
  return parts.length > 0 ? `{ ${parts.join(' && ')} }` : undefined;
}

/** The matchers of the metrics of a context; `label` is the one that carries the service. */
export function contextMetrics(c: Context, label: string): string | undefined {
  return c.service ? metricMatcher(c.service, label) : undefined;
}

const trailKey = 'pharos.trail';
const trailMax = 12;

/** Remembers where a named step of the trail was, so that its crumb leads back to the same chart and zoom. */
export function rememberStep(name: string, href: string): void {
  try {
    const list = steps().filter(([n]) => n !== name);
    sessionStorage.setItem(trailKey, JSON.stringify([...list, [name, href]].slice(-trailMax)));
  } catch {
    // Without storage the crumbs are only text.
  }
}

export function stepHref(name: string): string | undefined {
  return steps().find(([n]) => n === name)?.[1];
}

function steps(): [string, string][] {
  try {
    const list = JSON.parse(sessionStorage.getItem(trailKey) ?? '[]') as [string, string][];
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** The trail after one more step: no repetition, the last few only. */
export function extendTrail(old: string[], step: string): string[] {
  const at = old.indexOf(step);
  return [...(at >= 0 ? old.slice(0, at) : old), step].slice(-3);
}
