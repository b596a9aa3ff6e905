import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { valueColor } from './color';
import { applyConfig, show, shownText } from './display';
import { field, reduce, seriesFrames, tableFrame } from './frames';
import type { Frame } from './frames';
import { layout } from './layout';
import { fieldLinks } from './panels/context';
import { readDashboard, readPanel } from './project';
import { heatmapFrames } from './query';
import { sourceOf } from './sources';
import { transform } from './transforms';
import { builtins } from './template';
import { formatUnit, unitText } from './units';

const data = (name: string) => JSON.parse(readFileSync(new URL(`./testdata/${name}.json`, import.meta.url), 'utf8')) as unknown;
const same = (s: string) => s;

it('brings schema 14 to today', () => {
  const d = readDashboard(data('schema14'));
  expect(d.panels.map((p) => [p.type, p.grid])).toEqual([
    ['row', { x: 0, y: 0, w: 24, h: 1 }],
    ['timeseries', { x: 0, y: 1, w: 12, h: 7 }],
    ['stat', { x: 12, y: 1, w: 12, h: 7 }],
    ['row', { x: 0, y: 8, w: 24, h: 1 }],
  ]);
  const [, chart, stat, folded] = d.panels;
  expect(chart!.defaults).toMatchObject({ unit: 'reqps', min: 0, custom: { fillOpacity: 100, lineWidth: 0, stacking: { mode: 'normal' } } });
  expect(chart!.options).toMatchObject({ legend: { displayMode: 'table', calcs: ['mean', 'lastNotNull'] } });
  expect(chart!.overrides).toHaveLength(2);
  expect(stat!.options).toMatchObject({ colorMode: 'value', graphMode: 'area', reduceOptions: { calcs: ['lastNotNull'] } });
  expect(stat!.defaults.thresholds!.steps.map((s) => s.value)).toEqual([-Infinity, 0.01, 0.05]);
  expect(folded!.collapsed).toBe(true);
  expect(folded!.panels[0]).toMatchObject({ type: 'table' });
  expect(layout(d.panels, [], new Set()).map((p) => p.panel.title)).toEqual(['Requests', 'QPS', 'Error share', 'Table']);
  expect(layout(d.panels, [], new Set([String(folded!.id)]))).toHaveLength(5);
});

it('reads the dashboard of the seed, whose link stands beside the defaults', () => {
  const p = readDashboard(data('seed')).panels[0]!;
  expect(sourceOf(p.targets[0]!, p, {}, [])).toBe('prometheus');
  const frames = applyConfig(p, seriesFrames([{ labels: { service: 'check out' }, times: Float64Array.of(1), values: Float64Array.of(2) }], 'A', () => undefined), same);
  const values = builtins({ uid: '', title: '' }, { range: { from: 1000, to: 2000 }, text: { from: 'now-1h', to: 'now' } }, {});
  expect(fieldLinks(frames[0]!.fields[1]!, 0, frames[0]!, frames, values)[0]!.url).toBe('/d/logs?var-service=check%20out&from=1000&to=2000');
});

it('refuses what is no dashboard', () => {
  expect(() => readDashboard({ title: 'x' })).toThrow(/neither panels nor rows/);
  expect(() => readDashboard({ spec: { elements: {} } })).toThrow(/schema v2/);
  expect(readDashboard({ meta: {}, dashboard: { title: 'inner', panels: [] } }).title).toBe('inner');
});

it.each([
  [1536, 'bytes', undefined, '1.5 KiB'],
  [1.5e6, 'decbytes', undefined, '1.5 MB'],
  [0.1234, 'percentunit', undefined, '12.3%'],
  [12.345, 'percent', 1, '12.3%'],
  [1234, 'reqps', undefined, '1.23k req/s'],
  [5, 'reqps', undefined, '5 req/s'],
  [0.0123, 's', undefined, '12.3 ms'],
  [90, 'm', undefined, '1.5 hours'],
  [1_230_000, 'short', undefined, '1.23 Mil'],
  [93784, 'dtdurations', undefined, '1 day 2 hours'],
  [1, 'bool_yes_no', undefined, 'Yes'],
  [12, 'items/sec', undefined, '12 items/sec'],
  [3, 'suffix:x', undefined, '3x'],
  [2, 'currencyUSD', 2, '$2.00'],
  [Infinity, 'short', undefined, '∞'],
  [0, 'bytes', undefined, '0 B'],
])('%s %s', (v, unit, decimals, want) => expect(unitText(v, unit, decimals).replace(/\s+/g, ' ')).toBe(want));

it('prints an unknown unit behind the number', () => expect(formatUnit(1, 'widgets')).toEqual({ text: '1', suffix: ' widgets', prefix: '' }));

it('maps and colours values', () => {
  const f = readPanel({ type: 'stat', fieldConfig: { defaults: { mappings: [{ type: 'value', options: { 1: { text: 'up', color: 'green' } } }, { type: 'range', options: { from: 5, to: null, result: { text: 'many' } } }, { type: 'special', options: { match: 'null+nan', result: { text: 'none' } } }], thresholds: { steps: [{ color: 'green', value: null }, { color: 'red', value: 3 }] } } } }).defaults;
  expect(shownText(show(f, 1))).toBe('up');
  expect(shownText(show(f, 7))).toBe('many');
  expect(shownText(show(f, null))).toBe('none');
  expect(show(f, 4).color).toBe('var(--g-red)');
  expect(valueColor({ custom: {}, color: { mode: 'continuous-GrYlRd' }, min: 0, max: 10 }, 10, '')).toContain('--g-red');
});

const series = (name: string, labels: Record<string, string>, ...values: number[]): Frame => seriesFrames([{ labels: { __name__: name, ...labels }, times: Float64Array.from(values, (_, i) => i), values: Float64Array.from(values) }], 'A', () => undefined)[0]!;

it('applies overrides by name, pattern, query, type and value', () => {
  const over = (id: string, options: unknown, unit: string) => ({ matcher: { id, options }, properties: [{ id: 'unit', value: unit }] });
  const unit = (o: object) => applyConfig(readPanel({ type: 'timeseries', fieldConfig: { overrides: [o] } }), [series('m', { job: 'a' }, 1, 2), series('m', { job: 'b' }, 10, 20)], same).map((f) => f.fields[1]!.config.unit);
  expect(unit(over('byName', 'a', 's'))).toEqual(['s', undefined]);
  expect(unit(over('byRegexp', '/^b/', 's'))).toEqual([undefined, 's']);
  expect(unit(over('byNames', { mode: 'exclude', names: ['a'] }, 's'))).toEqual([undefined, 's']);
  expect(unit(over('byFrameRefID', 'A', 's'))).toEqual(['s', 's']);
  expect(unit(over('byType', 'number', 's'))).toEqual(['s', 's']);
  expect(unit(over('byValue', { reducer: 'max', op: 'gte', value: 15 }, 's'))).toEqual([undefined, 's']);
});

const run = (frames: Frame[], ...list: [string, Record<string, unknown>][]) => transform(frames, list.map(([id, options]) => ({ id, options, disabled: false })), same);
const rows = (f: Frame) => Array.from({ length: f.fields[0]!.values.length }, (_, i) => Object.fromEntries(f.fields.map((c) => [c.config.displayName ?? c.name, c.values[i]])));

it('transforms tables', () => {
  const vector = (refId: string, value: number) => tableFrame([{ labels: { pod: 'a' }, times: Float64Array.of(1), values: Float64Array.of(value) }, { labels: { pod: 'b' }, times: Float64Array.of(1), values: Float64Array.of(value * 2) }], refId, true);
  const merged = run([vector('A', 1), vector('B', 10)], ['merge', {}], ['organize', { excludeByName: { Time: true }, renameByName: { 'Value #A': 'CPU' }, indexByName: { 'Value #B': 0 } }], ['sortBy', { sort: [{ field: 'CPU', desc: true }] }]);
  expect(rows(merged[0]!)).toEqual([{ 'Value #B': 20, pod: 'b', CPU: 2 }, { 'Value #B': 10, pod: 'a', CPU: 1 }]);
  expect(rows(run(merged, ['calculateField', { mode: 'binary', alias: 'x', binary: { left: 'CPU', operator: '*', right: '3' } }], ['filterByValue', { type: 'include', match: 'all', filters: [{ fieldName: 'x', config: { id: 'greater', options: { value: 4 } } }] }])[0]!)).toMatchObject([{ x: 6 }]);
  expect(rows(run(merged, ['groupBy', { fields: { pod: { operation: 'groupby' }, CPU: { operation: 'aggregate', aggregations: ['sum'] } } }])[0]!)).toEqual([{ pod: 'b', 'CPU (sum)': 2 }, { pod: 'a', 'CPU (sum)': 1 }]);
  expect(rows(run(merged, ['filterFieldsByName', { include: { names: ['pod'] } }], ['limit', { limitField: 1 }])[0]!)).toEqual([{ pod: 'b' }]);
});

it('transforms series', () => {
  const two = [series('m', { job: 'a' }, 1, 2), series('m', { job: 'b' }, 3, 4)];
  expect(rows(run(two, ['reduce', { reducers: ['max', 'mean'] }])[0]!)).toEqual([{ Field: 'a', Max: 2, Mean: 1.5 }, { Field: 'b', Max: 4, Mean: 3.5 }]);
  expect(run(two, ['joinByField', { byField: 'Time' }])[0]!.fields).toHaveLength(3);
  expect(run(two, ['renameByRegex', { regex: '(.)', renamePattern: 'job $1' }])[0]!.fields[1]!.config.displayName).toBe('job a');
  expect(run(two, ['timeSeriesTable', {}])[0]!.fields.map((f) => f.name)).toEqual(['job', 'Trend #A']);
  expect(rows(run(two, ['seriesToRows', {}])[0]!)[0]).toMatchObject({ Metric: 'a', Value: 2 });
  expect(rows(run(two, ['labelsToFields', {}])[0]!)[0]).toMatchObject({ job: 'a', m: 1 });
  expect(rows(run([{ refId: 'A', fields: [field('j', 'string', ['{"a":{"b":1}}'])] }], ['extractFields', { source: 'j', jsonPaths: [{ path: 'a.b', alias: 'ab' }] }])[0]!)[0]).toMatchObject({ ab: 1 });
  expect(rows(run([{ refId: 'A', fields: [field('r', 'string', ['x', 'x']), field('c', 'string', ['p', 'q']), field('v', 'number', [1, 2])] }], ['groupingToMatrix', { rowField: 'r', columnField: 'c', valueField: 'v' }])[0]!)).toEqual([{ 'r\\c': 'x', p: 1, q: 2 }]);
});

it('takes cumulative buckets apart', () => {
  const b = (le: string, ...values: number[]) => ({ labels: { le }, times: Float64Array.from(values, (_, i) => i), values: Float64Array.from(values) });
  expect(heatmapFrames([b('+Inf', 5, 6), b('1', 2, 3), b('2', 4, 4)], 'A')[0]!.fields.map((f) => [f.name, f.values])).toEqual([['Time', [0, 1000]], ['1', [2, 3]], ['2', [2, 1]], ['+Inf', [1, 2]]]);
});

it('reduces', () => {
  const f = field('', 'number', [3, null, 1, NaN]);
  expect(['lastNotNull', 'last', 'min', 'max', 'mean', 'sum', 'count', 'range'].map((id) => reduce(id, f))).toEqual([1, NaN, 1, 3, 2, 4, 4, 2]);
});
