/**
 * The options of fields and panels that the forms know: for the defaults of a panel, for its overrides and for the panel
 * itself. What is not in these lists stays in the JSON and is edited there.
 */
import type { JSX } from 'react';
import { linksOf, mappingsOf, num, obj, str, thresholdsOf } from '@/grafana/model';
import type { Json } from '@/grafana/model';
import { Check, ColorText, Field, LinksForm, MappingsForm, put, Select, Text, ThresholdsForm, UnitText } from './form';
import type { Choices } from './form';

export interface Property {
  /** The path in the JSON, as overrides name it. */
  id: string;
  name: string;
  kind: 'text' | 'number' | 'unit' | 'color' | 'bool' | 'choice' | 'thresholds' | 'mappings' | 'links';
  /** Of a choice: the first is what an absent value means. */
  choices?: Choices;
  /** The types of panels that it means something to; all when absent. */
  panels?: readonly string[];
  placeholder?: string;
  /** What a new override starts with. */
  initial?: unknown;
}

const charts = ['timeseries', 'barchart', 'histogram'];
const time = ['timeseries'];
const tables = ['table'];

const colorModes: Choices = [
  ['', 'By panel type'], ['palette-classic', 'Palette'], ['palette-classic-by-name', 'Palette by name'], ['thresholds', 'From thresholds'], ['fixed', 'One colour'], ['shades', 'Shades of one colour'],
  ['continuous-GrYlRd', 'Green–yellow–red'], ['continuous-RdYlGr', 'Red–yellow–green'], ['continuous-BlYlRd', 'Blue–yellow–red'], ['continuous-YlRd', 'Yellow–red'], ['continuous-BlPu', 'Blue–purple'], ['continuous-YlBl', 'Yellow–blue'],
  ['continuous-blues', 'Blues'], ['continuous-reds', 'Reds'], ['continuous-greens', 'Greens'], ['continuous-purples', 'Purples'],
];

/** Options of fields, in the order of the form. */
export const fieldProperties: Property[] = [
  { id: 'unit', name: 'Unit', kind: 'unit', initial: 'short' },
  { id: 'min', name: 'Min', kind: 'number', initial: 0 },
  { id: 'max', name: 'Max', kind: 'number', initial: 100 },
  { id: 'decimals', name: 'Decimals', kind: 'number', initial: 1 },
  { id: 'displayName', name: 'Display name', kind: 'text', placeholder: '${__field.labels.instance}', initial: '' },
  { id: 'noValue', name: 'Text for no value', kind: 'text', placeholder: '–', initial: '–' },
  { id: 'color', name: 'Colour', kind: 'color', initial: { mode: 'fixed', fixedColor: 'red' } },
  { id: 'custom.drawStyle', name: 'Draw', kind: 'choice', panels: time, choices: [['line', 'Lines'], ['bars', 'Bars'], ['points', 'Points']] },
  { id: 'custom.lineInterpolation', name: 'Line', kind: 'choice', panels: time, choices: [['linear', 'Straight'], ['smooth', 'Smooth'], ['stepAfter', 'Step after'], ['stepBefore', 'Step before']] },
  { id: 'custom.lineWidth', name: 'Line width', kind: 'number', panels: charts, placeholder: '1', initial: 2 },
  { id: 'custom.lineStyle', name: 'Line style', kind: 'choice', panels: time, choices: [['solid', 'Solid'], ['dash', 'Dashes'], ['dot', 'Dots']] },
  { id: 'custom.fillOpacity', name: 'Fill, %', kind: 'number', panels: [...charts, 'state-timeline', 'status-history'], placeholder: '0', initial: 20 },
  { id: 'custom.gradientMode', name: 'Gradient', kind: 'choice', panels: charts, choices: [['none', 'None'], ['opacity', 'Opacity'], ['hue', 'Hue'], ['scheme', 'Scheme']] },
  { id: 'custom.stacking', name: 'Stack', kind: 'choice', panels: time, choices: [['none', 'Off'], ['normal', 'Normal'], ['percent', '100 %']] },
  { id: 'custom.transform', name: 'Transform', kind: 'choice', panels: time, choices: [['', 'None'], ['negative-Y', 'Below the axis'], ['constant', 'Constant']], initial: 'negative-Y' },
  { id: 'custom.fillBelowTo', name: 'Fill below to', kind: 'text', panels: time, placeholder: 'name of a series', initial: '' },
  { id: 'custom.showPoints', name: 'Points', kind: 'choice', panels: time, choices: [['auto', 'Where single'], ['always', 'Always'], ['never', 'Never']] },
  { id: 'custom.pointSize', name: 'Point size', kind: 'number', panels: time, placeholder: '5', initial: 5 },
  { id: 'custom.spanNulls', name: 'Connect over gaps', kind: 'bool', panels: time, initial: true },
  { id: 'custom.axisPlacement', name: 'Axis', kind: 'choice', panels: charts, choices: [['auto', 'Auto'], ['left', 'Left'], ['right', 'Right'], ['hidden', 'Hidden']], initial: 'right' },
  { id: 'custom.axisLabel', name: 'Axis label', kind: 'text', panels: charts, initial: '' },
  { id: 'custom.axisSoftMin', name: 'Axis min at least', kind: 'number', panels: charts, initial: 0 },
  { id: 'custom.axisSoftMax', name: 'Axis max at least', kind: 'number', panels: charts, initial: 1 },
  { id: 'custom.scaleDistribution', name: 'Scale', kind: 'choice', panels: charts, choices: [['linear', 'Linear'], ['log', 'Logarithmic'], ['symlog', 'Symmetric logarithmic']] },
  { id: 'custom.thresholdsStyle', name: 'Thresholds on the chart', kind: 'choice', panels: time, choices: [['off', 'Off'], ['line', 'Lines'], ['dashed', 'Dashed lines'], ['area', 'Areas'], ['line+area', 'Lines and areas'], ['dashed+area', 'Dashes and areas']] },
  { id: 'custom.cellOptions', name: 'Cell', kind: 'choice', panels: tables, choices: [['auto', 'Text'], ['color-text', 'Coloured text'], ['color-background', 'Coloured background'], ['gauge', 'Gauge'], ['sparkline', 'Sparkline'], ['json-view', 'JSON']], initial: { type: 'color-background' } },
  { id: 'custom.align', name: 'Align', kind: 'choice', panels: tables, choices: [['auto', 'Auto'], ['left', 'Left'], ['center', 'Centre'], ['right', 'Right']], initial: 'right' },
  { id: 'custom.width', name: 'Column width', kind: 'number', panels: tables, placeholder: 'auto', initial: 160 },
  { id: 'custom.hidden', name: 'Hide the column', kind: 'bool', panels: tables, initial: true },
  { id: 'custom.hideFrom', name: 'Hide from', kind: 'choice', panels: [...charts, 'piechart', 'stat', 'gauge', 'bargauge'], choices: [['', 'Nothing'], ['viz', 'Chart'], ['legend', 'Legend'], ['tooltip', 'Tooltip'], ['viz,legend,tooltip', 'Everything']], initial: { viz: true, legend: false, tooltip: false } },
  { id: 'thresholds', name: 'Thresholds', kind: 'thresholds', initial: { mode: 'absolute', steps: [{ color: 'green', value: null }, { color: 'red', value: 80 }] } },
  { id: 'mappings', name: 'Value mappings', kind: 'mappings', initial: [] },
  { id: 'links', name: 'Data links', kind: 'links', initial: [] },
];

const calcs: Choices = [['lastNotNull', 'Last *'], ['last', 'Last'], ['mean', 'Mean'], ['min', 'Min'], ['max', 'Max'], ['sum', 'Total'], ['first', 'First'], ['firstNotNull', 'First *'], ['count', 'Count'], ['range', 'Range'], ['diff', 'Difference']];
const single = ['stat', 'gauge', 'bargauge', 'piechart'];
const legends = ['timeseries', 'barchart', 'piechart', 'state-timeline', 'status-history'];

/** Options of panels, below `options`. */
export const panelProperties: Property[] = [
  { id: 'reduceOptions.calcs.0', name: 'Value', kind: 'choice', panels: single, choices: calcs },
  { id: 'reduceOptions.values', name: 'Every row is a value', kind: 'bool', panels: single },
  { id: 'colorMode', name: 'Colour', kind: 'choice', panels: ['stat'], choices: [['value', 'Value'], ['background', 'Background'], ['none', 'None']] },
  { id: 'graphMode', name: 'Sparkline', kind: 'choice', panels: ['stat'], choices: [['area', 'Area'], ['none', 'None']] },
  { id: 'textMode', name: 'Text', kind: 'choice', panels: ['stat'], choices: [['auto', 'Auto'], ['value', 'Value'], ['value_and_name', 'Value and name'], ['name', 'Name'], ['none', 'None']] },
  { id: 'orientation', name: 'Orientation', kind: 'choice', panels: ['stat', 'gauge', 'bargauge', 'barchart'], choices: [['auto', 'Auto'], ['horizontal', 'Horizontal'], ['vertical', 'Vertical']] },
  { id: 'displayMode', name: 'Bars', kind: 'choice', panels: ['bargauge'], choices: [['gradient', 'Gradient'], ['basic', 'Plain'], ['lcd', 'LCD']] },
  { id: 'pieType', name: 'Shape', kind: 'choice', panels: ['piechart'], choices: [['pie', 'Pie'], ['donut', 'Donut']] },
  { id: 'legend.showLegend', name: 'Legend', kind: 'bool', panels: legends },
  { id: 'legend.displayMode', name: 'Legend as', kind: 'choice', panels: legends, choices: [['list', 'List'], ['table', 'Table']] },
  { id: 'legend.placement', name: 'Legend at', kind: 'choice', panels: legends, choices: [['bottom', 'Bottom'], ['right', 'Right']] },
  { id: 'tooltip.mode', name: 'Tooltip', kind: 'choice', panels: ['timeseries'], choices: [['single', 'One series'], ['multi', 'All series'], ['none', 'None']] },
  { id: 'tooltip.sort', name: 'Tooltip order', kind: 'choice', panels: ['timeseries'], choices: [['none', 'As drawn'], ['desc', 'Highest first'], ['asc', 'Lowest first']] },
  { id: 'showHeader', name: 'Header', kind: 'bool', panels: tables },
  { id: 'showTime', name: 'Time', kind: 'bool', panels: ['logs'] },
  { id: 'wrapLogMessage', name: 'Wrap lines', kind: 'bool', panels: ['logs'] },
  { id: 'sortOrder', name: 'Order', kind: 'choice', panels: ['logs'], choices: [['Descending', 'Newest first'], ['Ascending', 'Oldest first']] },
];

/** What an absent value of a switch means. */
const onByDefault = new Set(['legend.showLegend', 'showHeader']);

export const suits = (p: Property, panel: string): boolean => !p.panels || p.panels.includes(panel);

/** Reads a value below an object by its path. */
export function at(o: Json, path: string): unknown {
  return path.split('.').reduce<unknown>((x, k) => (Array.isArray(x) ? x[Number(k)] : obj(x)[k]), o);
}

/** Sets a value below an object by its path, making what is on the way. */
export function setAt(o: Json, path: string, v: unknown): void {
  const keys = path.split('.');
  const last = keys.pop()!;
  let x: Json | unknown[] = o;
  for (const [i, k] of keys.entries()) {
    const list = /^\d+$/.test(keys[i + 1] ?? last);
    const old: unknown = (x as Json)[k];
    x = (x as Json)[k] = list ? (Array.isArray(old) ? [...old] : []) : { ...obj(old) };
  }
  put(x as Json, last, v);
}

/** Objects that stand for one choice. */
const boxed: Record<string, { open: (v: unknown) => string; close: (choice: string, old: Json) => unknown }> = {
  'custom.stacking': { open: (v) => str(obj(v)['mode']) ?? '', close: (mode, old) => ({ group: 'A', ...old, mode }) },
  'custom.lineStyle': { open: (v) => str(obj(v)['fill']) ?? '', close: (fill) => (fill === 'dash' ? { fill, dash: [10, 10] } : fill === 'dot' ? { fill, dash: [0, 10] } : { fill }) },
  'custom.scaleDistribution': { open: (v) => str(obj(v)['type']) ?? '', close: (type) => (type === 'linear' ? { type } : { type, log: 10, ...(type === 'symlog' ? { linearThreshold: 1 } : {}) }) },
  'custom.thresholdsStyle': { open: (v) => str(obj(v)['mode']) ?? '', close: (mode) => ({ mode }) },
  'custom.cellOptions': { open: (v) => str(obj(v)['type']) ?? '', close: (type) => ({ type }) },
  'custom.hideFrom': {
    open: (v) => ['viz', 'legend', 'tooltip'].filter((k) => obj(v)[k] === true).join(),
    close: (s) => Object.fromEntries(['viz', 'legend', 'tooltip'].map((k) => [k, s.split(',').includes(k)])),
  },
};

/** The editor of one option. `onChange` gets what belongs into the JSON, undefined for nothing. */
export function PropertyEditor({ p, value, onChange }: { p: Property; value: unknown; onChange: (v: unknown) => void }): JSX.Element {
  switch (p.kind) {
    case 'unit':
      return <UnitText label={p.name} value={str(value) ?? ''} onCommit={onChange} />;
    case 'number':
      return <Text type="number" label={p.name} placeholder={p.placeholder ?? 'auto'} value={num(value) === undefined ? '' : String(num(value))} onCommit={(v) => onChange(num(v))} />;
    case 'text':
      return <Text label={p.name} placeholder={p.placeholder ?? ''} value={value === undefined || value === null ? '' : String(value)} onCommit={onChange} />;
    case 'bool':
      return (
        <Check value={value === undefined ? onByDefault.has(p.id) : value === true || typeof value === 'number'} onChange={onChange}>
          {p.name}
        </Check>
      );
    case 'choice': {
      const box = boxed[p.id];
      const choice = (box ? box.open(value) : value === undefined ? '' : String(value)) || p.choices![0]![0];
      return <Select label={p.name} value={choice} choices={p.choices!} onChange={(v) => onChange(box ? box.close(v, obj(value)) : v)} />;
    }
    case 'color': {
      const c = obj(value);
      const mode = str(c['mode']) ?? '';
      return (
        <span className="g-line row">
          <Select label="Colour mode" value={mode} choices={colorModes} onChange={(m) => onChange(m ? { ...c, mode: m, ...(m === 'fixed' || m === 'shades' ? { fixedColor: str(c['fixedColor']) ?? 'blue' } : {}) } : undefined)} />
          {(mode === 'fixed' || mode === 'shades') && <ColorText label="Fixed colour" value={str(c['fixedColor']) ?? ''} onCommit={(v) => onChange({ ...c, fixedColor: v })} />}
        </span>
      );
    }
    case 'thresholds':
      return <ThresholdsForm value={thresholdsOf(value)} onChange={onChange} />;
    case 'mappings':
      return <MappingsForm value={mappingsOf(value)} onChange={onChange} />;
    case 'links':
      return <LinksForm links={linksOf(value)} onChange={onChange} />;
  }
}

/** Whether an editor needs the whole width and a heading of its own. */
const tall = (p: Property) => p.kind === 'thresholds' || p.kind === 'mappings' || p.kind === 'links';

/** The options of one object that suit a panel, small ones side by side. */
export function Properties({ list, panel, value, onChange }: { list: Property[]; panel: string; value: Json; onChange: (path: string, v: unknown) => void }): JSX.Element {
  const fit = list.filter((p) => suits(p, panel));
  const editor = (p: Property) => <PropertyEditor p={p} value={at(value, p.id)} onChange={(v) => onChange(p.id, v)} />;
  return (
    <>
      <div className="g-three">
        {fit
          .filter((p) => !tall(p))
          .map((p) => (p.kind === 'bool' ? <div key={p.id} className="g-switch">{editor(p)}</div> : <Field key={p.id} label={p.name}>{editor(p)}</Field>))}
      </div>
      {fit.filter(tall).map((p) => (
        <fieldset key={p.id}>
          <legend>{p.name}</legend>
          {editor(p)}
        </fieldset>
      ))}
    </>
  );
}
