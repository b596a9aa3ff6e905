/** A query as a panel of a dashboard. */
import type { Unit } from '@/core/units/units';
import { clone } from '@/grafana/model';
import type { Json } from '@/grafana/model';
import { addPanel, changePanel } from '@/pages/dashboards/edit';

const grafanaUnits: Record<Unit, string | undefined> = { none: undefined, s: 's', bytes: 'bytes', Bps: 'binBps', ratio: 'percentunit', percent: 'percent', perSecond: 'ops' };

/** The dashboard with one chart more, at the top; the others move down. */
export function withPanel(dashboard: Json, title: string, expr: string, unit: Unit): Json {
  const d = clone(dashboard);
  const id = addPanel(d);
  const panel = (d['panels'] as Json[])[0]!;
  const options = panel['fieldConfig'] as { defaults: Json };
  if (grafanaUnits[unit]) options.defaults['unit'] = grafanaUnits[unit];
  changePanel(d, id, { ...panel, title, targets: [{ refId: 'A', expr }] });
  return d;
}

export const emptyDashboard = (title: string): Json => ({ title, tags: [], panels: [], schemaVersion: 39, time: { from: 'now-1h', to: 'now' } });
