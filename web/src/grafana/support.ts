/** What of a panel Pharos draws as Grafana does, and what it draws in another way. */
import { knownScheme } from './color';
import type { Dashboard, Panel } from './model';
import { obj, str } from './model';
import { sourceOf } from './sources';
import { knownTransformation } from './transforms';
import { readQuery } from './variables';

export const drawn = new Set([
  'timeseries', 'stat', 'table', 'gauge', 'text', 'logs', 'bargauge', 'heatmap', 'state-timeline', 'status-history', 'piechart', 'barchart',
  'nodeGraph', 'traces', 'alertlist', 'dashlist', 'histogram', 'row',
]);

const matchers = new Set(['byName', 'byRegexp', 'byNames', 'byFrameRefID', 'byType', 'byTypes', 'byValue', 'numeric', 'time']);
const properties = new Set(['color', 'unit', 'decimals', 'displayName', 'min', 'max', 'links', 'mappings', 'thresholds', 'noValue', 'description']);
const cells = new Set(['auto', 'color-text', 'color-background', 'color-background-solid', 'sparkline', 'gauge', 'gradient-gauge', 'lcd-gauge', 'basic', 'json-view', 'applyToRow', 'data-links', 'pill', 'markdown']);

/** Everything of a panel that is not drawn as its author meant, in words for a chip. */
export function problems(p: Panel, d: Pick<Dashboard, 'variables' | 'panels'>): string[] {
  const out = new Set<string>();
  if (p.type === 'library-panel') out.add('library panel');
  else if (!drawn.has(p.type)) out.add(`panel type ${p.type || 'unknown'}`);
  for (const t of p.targets) {
    if (t.hide) continue;
    const s = sourceOf(t, p, {}, d.variables);
    if (typeof s === 'object') out.add(s.unsupported);
    else if (s === 'grafana') out.add('Grafana’s own test data');
  }
  for (const t of p.transformations) if (!t.disabled && !knownTransformation(t.id)) out.add(`transformation ${t.id}`);
  for (const o of p.overrides) {
    if (!matchers.has(o.matcher.id)) out.add(`override by ${o.matcher.id}`);
    for (const q of o.properties) {
      if (!properties.has(q.id) && !q.id.startsWith('custom.')) out.add(`option ${q.id}`);
      const type = str(obj(q.value)['type']);
      if (q.id === 'custom.cellOptions' && type && !cells.has(type)) out.add(`cell type ${type}`);
    }
  }
  const mode = p.defaults.color?.mode ?? '';
  if (mode.startsWith('continuous-') && !knownScheme(mode.slice(11))) out.add(`colour scheme ${mode}`);
  return [...out];
}

export interface Report {
  panels: { panel: Panel; problems: string[] }[];
  variables: { name: string; problem: string }[];
  supported: number;
}

/** A line for every panel of a dashboard, those inside rows included. */
export function report(d: Dashboard): Report {
  const flat = d.panels.flatMap((p) => (p.type === 'row' ? p.panels : [p]));
  const panels = flat.map((panel) => ({ panel, problems: problems(panel, d) }));
  const variables: Report['variables'] = [];
  for (const v of d.variables) {
    if (v.type === 'unknown') variables.push({ name: v.name, problem: 'this type of variable is not known; the saved values are offered' });
    else if (v.type === 'query' && readQuery(v).kind === 'unsupported') variables.push({ name: v.name, problem: 'its query is not understood; the saved values are offered' });
  }
  return { panels, variables, supported: panels.filter((p) => p.problems.length === 0).length };
}
