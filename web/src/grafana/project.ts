/** Reads migrated JSON into the model. */
import { readAnnotation } from './annotations';
import { migrate } from './migrate';
import { arr, fieldOptions, linksOf, num, obj, sourceRef, str } from './model';
import type { Dashboard, DashboardLink, Json, Override, Panel, Target, Transformation, Variable, VariableType } from './model';

/** Reads a dashboard's JSON of any age. Throws with a plain sentence when it is none. */
export function readDashboard(json: unknown): Dashboard {
  const outer = obj(json);
  const inner = obj(outer['dashboard']);
  const source = Object.keys(inner).length > 0 && !outer['panels'] && !outer['rows'] ? inner : outer;
  if (obj(source['spec'])['elements'] || source['elements']) throw new Error('This is a dashboard in schema v2 (elements and layout). Export it from Grafana in the classic form.');
  if (!Array.isArray(source['panels']) && !Array.isArray(source['rows'])) throw new Error('This is not a Grafana dashboard: it has neither panels nor rows.');
  const raw = migrate(source);
  const time = obj(raw['time']);
  return {
    uid: str(raw['uid']) ?? '',
    title: str(raw['title']) ?? '',
    description: str(raw['description']) ?? '',
    tags: arr(raw['tags']).filter((t): t is string => typeof t === 'string'),
    panels: arr(raw['panels']).map((p) => readPanel(obj(p))),
    variables: arr(obj(raw['templating'])['list']).map((v) => readVariable(obj(v))),
    links: arr(raw['links']).map((l) => readLink(obj(l))),
    annotations: arr(obj(raw['annotations'])['list']).map((a) => readAnnotation(obj(a))),
    time: str(time['from']) && str(time['to']) ? { from: str(time['from'])!, to: str(time['to'])! } : undefined,
    refresh: str(raw['refresh']) ?? '',
    timezone: str(raw['timezone']) ?? '',
    sharedCursor: (num(raw['graphTooltip']) ?? 0) > 0,
    version: num(raw['version']) ?? 0,
    raw,
  };
}

export function readPanel(raw: Json): Panel {
  const grid = obj(raw['gridPos']);
  const config = obj(raw['fieldConfig']);
  return {
    id: num(raw['id']) ?? 0,
    type: str(raw['type']) ?? '',
    title: str(raw['title']) ?? '',
    description: str(raw['description']) ?? '',
    grid: { x: num(grid['x']) ?? 0, y: num(grid['y']) ?? 0, w: num(grid['w']) ?? 12, h: num(grid['h']) ?? 8 },
    transparent: raw['transparent'] === true,
    source: sourceRef(raw['datasource']),
    targets: arr(raw['targets']).map((t, i) => readTarget(obj(t), i)),
    options: obj(raw['options']),
    defaults: fieldOptions(config['defaults']),
    overrides: arr(config['overrides']).map((o) => readOverride(obj(o))),
    transformations: arr(raw['transformations']).map((t): Transformation => ({ id: str(obj(t)['id']) ?? '', options: obj(obj(t)['options']), disabled: obj(t)['disabled'] === true })),
    links: linksOf(raw['links']),
    repeat: str(raw['repeat']) || undefined,
    repeatVertical: raw['repeatDirection'] === 'v',
    maxPerRow: num(raw['maxPerRow']) ?? 4,
    interval: str(raw['interval']) || undefined,
    maxDataPoints: num(raw['maxDataPoints']),
    timeFrom: str(raw['timeFrom']) || undefined,
    timeShift: str(raw['timeShift']) || undefined,
    collapsed: raw['collapsed'] === true,
    panels: arr(raw['panels']).map((p) => readPanel(obj(p))),
    raw,
  };
}

function readTarget(raw: Json, i: number): Target {
  return { refId: str(raw['refId']) || String.fromCharCode(65 + (i % 26)), hide: raw['hide'] === true, source: sourceRef(raw['datasource']), raw };
}

function readOverride(raw: Json): Override {
  const m = obj(raw['matcher']);
  return {
    matcher: { id: str(m['id']) ?? '', options: m['options'] },
    properties: arr(raw['properties']).map((p) => ({ id: str(obj(p)['id']) ?? '', value: obj(p)['value'] })),
  };
}

const variableTypes: VariableType[] = ['query', 'datasource', 'custom', 'interval', 'constant', 'textbox', 'adhoc'];

function readVariable(raw: Json): Variable {
  const type = variableTypes.find((t) => t === raw['type']) ?? 'unknown';
  const value = obj(raw['current'])['value'];
  const current = Array.isArray(value) ? value.map(String) : value === undefined || value === null || value === '' || typeof value === 'object' ? undefined : [String(value)];
  return {
    name: str(raw['name']) ?? '',
    type,
    label: str(raw['label']) || str(raw['name']) || '',
    hide: raw['hide'] === 2 ? 'all' : raw['hide'] === 1 ? 'label' : type === 'constant' ? 'all' : 'no',
    multi: raw['multi'] === true,
    includeAll: raw['includeAll'] === true,
    allValue: str(raw['allValue']) || undefined,
    regex: str(raw['regex']) ?? '',
    sort: num(raw['sort']) ?? 0,
    refresh: raw['refresh'] === true ? 1 : (num(raw['refresh']) ?? 1),
    source: sourceRef(raw['datasource']),
    query: raw['query'],
    options: arr(raw['options'])
      .map(obj)
      .filter((o) => o['value'] !== undefined && o['value'] !== null)
      .map((o) => ({ text: String(o['text'] ?? o['value']), value: String(o['value']) })),
    current: current && current.length > 0 ? current : undefined,
    auto: raw['auto'] === true,
    autoCount: num(raw['auto_count']) ?? 30,
    autoMin: str(raw['auto_min']) ?? '10s',
  };
}

function readLink(raw: Json): DashboardLink {
  return {
    type: raw['type'] === 'dashboards' ? 'dashboards' : 'link',
    title: str(raw['title']) ?? '',
    url: str(raw['url']) ?? '',
    tags: arr(raw['tags']).filter((t): t is string => typeof t === 'string'),
    newTab: raw['targetBlank'] === true,
    keepTime: raw['keepTime'] === true,
    includeVars: raw['includeVars'] === true,
    dropdown: raw['asDropdown'] === true,
  };
}
