/** Panels of types that Grafana has dropped, in the form of the types that replaced them. */
import { arr, num, obj, str } from './model';
import type { Json } from './model';

const calcs: Record<string, string> = { current: 'lastNotNull', avg: 'mean', min: 'min', max: 'max', total: 'sum', first: 'first', delta: 'delta', range: 'range', diff: 'diff' };

const matcherFor = (alias: string) => {
  const m = /^\/(.*)\/[a-z]*$/.exec(alias);
  return m ? { id: 'byRegexp', options: alias } : { id: 'byName', options: alias };
};

/** The graph panel: fill, stacking, axes, colours and overrides by alias. */
export function graphToTimeseries(p: Json): void {
  const custom: Json = {};
  const defaults: Json = { custom, color: { mode: 'palette-classic' } };
  const overrides: Json[] = [];
  const axes = arr(p['yaxes']).map(obj);
  const left = axes[0] ?? {};
  const right = axes[1] ?? {};
  if (str(left['format'])) defaults['unit'] = left['format'];
  if (num(left['min']) !== undefined) defaults['min'] = num(left['min']);
  if (num(left['max']) !== undefined) defaults['max'] = num(left['max']);
  if (num(p['decimals'] ?? left['decimals']) !== undefined) defaults['decimals'] = num(p['decimals'] ?? left['decimals']);
  if (str(left['label'])) custom['axisLabel'] = left['label'];
  if (left['show'] === false) custom['axisPlacement'] = 'hidden';
  if ((num(left['logBase']) ?? 1) > 1) custom['scaleDistribution'] = { type: 'log', log: num(left['logBase']) };

  custom['drawStyle'] = p['bars'] === true ? 'bars' : p['lines'] === false && p['points'] === true ? 'points' : 'line';
  custom['showPoints'] = p['points'] === true ? 'always' : 'never';
  custom['lineWidth'] = num(p['linewidth']) ?? 1;
  custom['fillOpacity'] = (num(p['fill']) ?? 1) * 10;
  custom['pointSize'] = (num(p['pointradius']) ?? 2) * 2;
  if (p['steppedLine'] === true) custom['lineInterpolation'] = 'stepAfter';
  if (p['nullPointMode'] === 'connected') custom['spanNulls'] = true;
  if (p['stack'] === true) custom['stacking'] = { mode: p['percentage'] === true ? 'percent' : 'normal', group: 'A' };

  for (const [alias, color] of Object.entries(obj(p['aliasColors']))) overrides.push({ matcher: { id: 'byName', options: alias }, properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }] });
  for (const o of arr(p['seriesOverrides']).map(obj)) {
    const alias = str(o['alias']);
    if (!alias) continue;
    overrides.push({ matcher: matcherFor(alias), properties: seriesProperties(o, right) });
  }
  graphThresholds(p, defaults, custom);

  const legend = obj(p['legend']);
  const shown = ['min', 'max', 'avg', 'current', 'total'].filter((k) => legend[k] === true).map((k) => calcs[k]!);
  p['options'] = {
    legend: {
      displayMode: legend['alignAsTable'] === true ? 'table' : 'list',
      placement: legend['rightSide'] === true ? 'right' : 'bottom',
      showLegend: legend['show'] !== false,
      calcs: legend['values'] === true || legend['alignAsTable'] === true ? shown : [],
      ...(str(legend['sort']) ? { sortBy: legend['sort'], sortDesc: legend['sortDesc'] === true } : {}),
    },
    tooltip: { mode: obj(p['tooltip'])['shared'] === false ? 'single' : 'multi', sort: obj(p['tooltip'])['sort'] === 2 ? 'desc' : 'none' },
  };
  const old = obj(p['fieldConfig']);
  const oldDefaults = obj(old['defaults']);
  if (Array.isArray(oldDefaults['links'])) defaults['links'] = oldDefaults['links'];
  p['fieldConfig'] = { defaults, overrides: [...overrides, ...arr(old['overrides'])] };
  const mode = obj(p['xaxis'])['mode'];
  p['type'] = mode === 'histogram' ? 'histogram' : mode === 'series' ? 'barchart' : 'timeseries';
}

function seriesProperties(o: Json, right: Json): Json[] {
  const props: Json[] = [];
  const put = (id: string, value: unknown) => props.push({ id, value });
  if (str(o['color'])) put('color', { mode: 'fixed', fixedColor: o['color'] });
  if (num(o['fill']) !== undefined) put('custom.fillOpacity', num(o['fill'])! * 10);
  if (num(o['linewidth']) !== undefined) put('custom.lineWidth', num(o['linewidth']));
  if (o['transform'] === 'negative-Y' || o['transform'] === 'constant') put('custom.transform', o['transform']);
  if (o['bars'] === true) put('custom.drawStyle', 'bars');
  else if (o['lines'] === false && o['points'] === true) put('custom.drawStyle', 'points');
  else if (o['lines'] === true) put('custom.drawStyle', 'line');
  if (o['points'] !== undefined) put('custom.showPoints', o['points'] === true ? 'always' : 'never');
  if (num(o['pointradius']) !== undefined) put('custom.pointSize', num(o['pointradius'])! * 2);
  if (o['steppedLine'] === true) put('custom.lineInterpolation', 'stepAfter');
  if (o['dashes'] === true) put('custom.lineStyle', { fill: 'dash', dash: [num(o['dashLength']) ?? 10, num(o['spaceLength']) ?? 10] });
  if (o['stack'] === false) put('custom.stacking', { mode: 'none' });
  else if (o['stack'] !== undefined) put('custom.stacking', { mode: 'normal', group: o['stack'] === true ? 'A' : String(o['stack']) });
  if (str(o['fillBelowTo'])) put('custom.fillBelowTo', o['fillBelowTo']);
  if (o['hiddenSeries'] === true) put('custom.hideFrom', { viz: true, legend: false, tooltip: false });
  if (o['legend'] === false) put('custom.hideFrom', { viz: false, legend: true, tooltip: false });
  if (o['yaxis'] === 2) {
    put('custom.axisPlacement', 'right');
    if (str(right['format'])) put('unit', right['format']);
    if (num(right['min']) !== undefined) put('min', num(right['min']));
    if (num(right['max']) !== undefined) put('max', num(right['max']));
    if (str(right['label'])) put('custom.axisLabel', right['label']);
    if ((num(right['logBase']) ?? 1) > 1) put('custom.scaleDistribution', { type: 'log', log: num(right['logBase']) });
  }
  return props;
}

const thresholdColors: Record<string, string> = { critical: 'red', warning: 'orange', ok: 'green' };

function graphThresholds(p: Json, defaults: Json, custom: Json): void {
  const list = arr(p['thresholds']).map(obj).filter((t) => num(t['value']) !== undefined);
  if (list.length === 0) return;
  const steps: Json[] = [{ value: null, color: 'transparent' }];
  for (const t of list.sort((a, b) => num(a['value'])! - num(b['value'])!)) {
    const color = thresholdColors[str(t['colorMode']) ?? ''] ?? str(t['lineColor']) ?? 'red';
    if (t['op'] === 'lt') {
      steps[0] = { value: null, color };
      steps.push({ value: num(t['value']), color: 'transparent' });
    } else steps.push({ value: num(t['value']), color });
  }
  defaults['thresholds'] = { mode: 'absolute', steps };
  custom['thresholdsStyle'] = { mode: list.some((t) => t['fill'] === true) ? 'line+area' : 'line' };
}

/** The singlestat panel: a stat, or a gauge if it showed one. */
export function singlestatToStat(p: Json): void {
  const gauge = obj(p['gauge']);
  const defaults: Json = {};
  if (str(p['format'])) defaults['unit'] = p['format'];
  if (num(p['decimals']) !== undefined) defaults['decimals'] = num(p['decimals']);
  if (str(p['nullText'])) defaults['noValue'] = p['nullText'];
  const colors = arr(p['colors']).map(String);
  const limits = (str(p['thresholds']) ?? '').split(',').map((s) => num(s)).filter((n): n is number => n !== undefined);
  if (limits.length > 0 && colors.length > 0) {
    defaults['thresholds'] = { mode: 'absolute', steps: [{ value: null, color: colors[0] }, ...limits.map((value, i) => ({ value, color: colors[i + 1] ?? colors[colors.length - 1] }))] };
    defaults['color'] = { mode: 'thresholds' };
  } else defaults['color'] = { mode: 'fixed', fixedColor: 'text' };
  const maps: Json[] = [];
  if (p['mappingType'] !== 2) {
    for (const m of arr(p['valueMaps']).map(obj)) {
      const result = { text: String(m['text'] ?? '') };
      maps.push(m['value'] === 'null' ? { type: 'special', options: { match: 'null', result } } : { type: 'value', options: { [String(m['value'])]: result } });
    }
  }
  if (p['mappingType'] === 2) {
    for (const m of arr(p['rangeMaps']).map(obj)) {
      const result = { text: String(m['text'] ?? '') };
      maps.push(m['from'] === 'null' ? { type: 'special', options: { match: 'null', result } } : { type: 'range', options: { from: num(m['from']) ?? null, to: num(m['to']) ?? null, result } });
    }
  }
  if (maps.length > 0) defaults['mappings'] = maps;
  const options: Json = { reduceOptions: { calcs: [calcs[str(p['valueName']) ?? 'avg'] ?? 'lastNotNull'], values: false, fields: p['tableColumn'] ? `/^${String(p['tableColumn'])}$/` : '' } };
  if (gauge['show'] === true) {
    p['type'] = 'gauge';
    defaults['min'] = num(gauge['minValue']) ?? 0;
    defaults['max'] = num(gauge['maxValue']) ?? 100;
  } else {
    p['type'] = 'stat';
    options['colorMode'] = p['colorBackground'] === true ? 'background' : p['colorValue'] === true ? 'value' : 'none';
    options['graphMode'] = obj(p['sparkline'])['show'] === true ? 'area' : 'none';
    options['textMode'] = p['valueName'] === 'name' ? 'name' : 'auto';
    const suffix = [str(p['prefix']), str(p['postfix'])];
    if ((suffix[0] || suffix[1]) && (defaults['unit'] === undefined || defaults['unit'] === 'none' || defaults['unit'] === 'short')) defaults['unit'] = suffix[1] ? `suffix:${suffix[1]}` : `prefix:${suffix[0]}`;
  }
  p['options'] = options;
  p['fieldConfig'] = { defaults, overrides: [] };
}

/** The old table's styles by column pattern. */
export function tableStyles(p: Json): void {
  const overrides: Json[] = [];
  let defaults: Json = {};
  for (const s of arr(p['styles']).map(obj)) {
    const pattern = str(s['pattern']) ?? '';
    const props = styleProperties(s);
    if (pattern === '/.*/' || pattern === '.*') {
      for (const q of props) if (q['id'] === 'unit' || q['id'] === 'decimals') defaults = { ...defaults, [q['id'] as string]: q['value'] };
      continue;
    }
    if (pattern && props.length > 0) overrides.push({ matcher: matcherFor(pattern), properties: props });
  }
  const old = obj(p['fieldConfig']);
  p['fieldConfig'] = { defaults: { ...defaults, ...obj(old['defaults']) }, overrides: [...overrides, ...arr(old['overrides'])] };
  const list = arr(p['transformations']);
  switch (p['transform']) {
    case 'timeseries_to_rows':
      list.push({ id: 'seriesToRows', options: {} });
      break;
    case 'timeseries_to_columns':
      list.push({ id: 'seriesToColumns', options: { byField: 'Time' } });
      break;
    case 'timeseries_aggregations':
      list.push({ id: 'reduce', options: { reducers: arr(p['columns']).map((c) => calcs[str(obj(c)['value']) ?? ''] ?? 'lastNotNull') } });
      break;
    case 'table':
      if (arr(p['targets']).length > 1) list.push({ id: 'merge', options: {} });
      break;
  }
  p['transformations'] = list;
  delete p['styles'];
}

function styleProperties(s: Json): Json[] {
  const props: Json[] = [];
  if (s['type'] === 'hidden') return [{ id: 'custom.hidden', value: true }];
  if (str(s['alias'])) props.push({ id: 'displayName', value: s['alias'] });
  if (s['type'] === 'date') props.push({ id: 'unit', value: s['dateFormat'] ? `time:${String(s['dateFormat'])}` : 'dateTimeAsIso' });
  if (s['type'] === 'number') {
    if (str(s['unit'])) props.push({ id: 'unit', value: s['unit'] });
    if (num(s['decimals']) !== undefined) props.push({ id: 'decimals', value: num(s['decimals']) });
  }
  if (s['link'] === true && str(s['linkUrl'])) props.push({ id: 'links', value: [{ title: s['linkTooltip'] || 'Open', url: oldCells(String(s['linkUrl'])), targetBlank: s['linkTargetBlank'] === true }] });
  const limits = arr(s['thresholds']).map(num).filter((n): n is number => n !== undefined);
  const colors = arr(s['colors']).map(String);
  if (s['colorMode'] && limits.length > 0) {
    props.push({ id: 'thresholds', value: { mode: 'absolute', steps: [{ value: null, color: colors[0] ?? 'green' }, ...limits.map((value, i) => ({ value, color: colors[i + 1] ?? 'red' }))] } });
    props.push({ id: 'custom.cellOptions', value: { type: s['colorMode'] === 'value' ? 'color-text' : 'color-background' } });
  }
  return props;
}

/** `$__cell` and `$__cell_2` in links of the old table. */
function oldCells(url: string): string {
  return url.replace(/\$(?:\{__cell_(\w+)\}|__cell_(\w+))/g, (_m, a?: string, b?: string) => `\${__data.fields[${/^\d+$/.test(a ?? b ?? '') ? (a ?? b) : `"${a ?? b}"`}]}`).replace(/\$\{__cell\}|\$__cell\b/g, '${__value.raw}');
}

/** Options of the heatmap from before Grafana 9. */
export function heatmapOptions(p: Json): void {
  const old = obj(p['yAxis']);
  const o = obj(p['options']);
  if (Object.keys(o).length > 0 || Object.keys(old).length === 0) return;
  const color = obj(p['color']);
  p['options'] = {
    calculate: p['dataFormat'] !== 'tsbuckets',
    yAxis: { unit: old['format'], decimals: old['decimals'] },
    color: { scheme: String(color['colorScheme'] ?? '').replace(/^interpolate/, '') || 'Oranges', mode: 'scheme' },
    legend: { show: obj(p['legend'])['show'] === true },
  };
}
