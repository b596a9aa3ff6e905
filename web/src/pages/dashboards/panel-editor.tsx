/** Editing a panel: queries, transformations, look, overrides; the JSON for all the rest. */
import { useState } from 'react';
import type { JSX } from 'react';
import type { Frame } from '@/grafana/frames';
import { arr, clone, obj, str } from '@/grafana/model';
import type { Json, Panel } from '@/grafana/model';
import { drawn } from '@/grafana/support';
import { sourceOf, sources } from '@/grafana/sources';
import { Button, IconButton, Tabs } from '@/ui/kit';
import { Field, LinksForm, put, Select, Text } from './form';
import type { Choices } from './form';
import { JSONField } from './json';
import { Overrides } from './overrides';
import { OwnTime, Repeating } from './placing';
import { fieldProperties, panelProperties, Properties, setAt } from './properties';
import { languages, QueryField } from './query-field';
import { Transformations } from './transformations';

type Tab = 'query' | 'transform' | 'panel' | 'overrides' | 'json';

interface EditorProps {
  panel: Panel;
  preview: JSX.Element;
  /** Names of the dashboard's variables. */
  variables: string[];
  /** What the preview shows: the names that an override can choose from. */
  frames: Frame[];
  /** What its queries answered, before any transformation. */
  answered: Frame[];
  onChange: (raw: Json) => void;
  onDone: () => void;
}

export default function Editor({ panel, preview, variables, frames, answered, onChange, onDone }: EditorProps): JSX.Element {
  const [tab, setTab] = useState<Tab>('query');
  const change = (f: (raw: Json) => void) => {
    const raw = clone(panel.raw);
    f(raw);
    onChange(raw);
  };
  return (
    <div className="g-editor" data-testid="paneleditor">
      <div className="g-preview">{preview}</div>
      <div className="g-form">
        <Tabs
          label="Edit the panel"
          value={tab}
          onChange={(t) => setTab(t as Tab)}
          tabs={[
            { id: 'query', label: 'Queries' },
            { id: 'transform', label: panel.transformations.length > 0 ? `Transform (${panel.transformations.length})` : 'Transform' },
            { id: 'panel', label: 'Panel' },
            { id: 'overrides', label: panel.overrides.length > 0 ? `Overrides (${panel.overrides.length})` : 'Overrides' },
            { id: 'json', label: 'JSON' },
          ]}
          end={
            <Button small kind="primary" aria-label="Back to the dashboard" onClick={onDone}>
              Back
            </Button>
          }
        />
        {tab === 'query' && <Queries panel={panel} change={change} />}
        {tab === 'transform' && <Transformations panel={panel} answered={answered} onChange={(list) => change((raw) => (raw['transformations'] = list))} />}
        {tab === 'panel' && <Look panel={panel} variables={variables} change={change} />}
        {tab === 'overrides' && <Overrides panel={panel} frames={frames} onChange={(list) => change((raw) => (raw['fieldConfig'] = { defaults: {}, ...obj(raw['fieldConfig']), overrides: list }))} />}
        {tab === 'json' && <AsJSON panel={panel} onChange={onChange} />}
      </div>
    </div>
  );
}

interface PartProps {
  panel: Panel;
  change: (f: (raw: Json) => void) => void;
}

function Queries({ panel, change }: PartProps): JSX.Element {
  const at = (raw: Json, i: number) => obj(arr(raw['targets'])[i]);
  const next = () => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.split('').find((c) => !panel.targets.some((t) => t.refId === c)) ?? 'Z';
  return (
    <div className="g-fields">
      {panel.targets.map((t, i) => {
        const s = sourceOf(t, panel, {}, []);
        const type = typeof s === 'string' && languages[s] ? s : 'prometheus';
        const key = type === 'tempo' ? 'query' : 'expr';
        return (
          <div key={`${t.refId}${i}`} className="g-query" data-testid="targetrow">
            <div className="row">
              <b className="mono">{t.refId}</b>
              <select
                className="select"
                aria-label={`Signal of query ${t.refId}`}
                value={type}
                onChange={(e) =>
                  change((raw) => {
                    const to = sources.find((x) => x.type === e.target.value)!;
                    const target = at(raw, i);
                    target['datasource'] = { type: to.type, uid: to.uid };
                    if (to.type === 'tempo') {
                      target['query'] ??= target['expr'] ?? '';
                      target['queryType'] = 'traceql';
                    } else {
                      target['expr'] ??= target['query'] ?? '';
                      delete target['queryType'];
                    }
                  })
                }
              >
                <option value="prometheus">Metrics</option>
                <option value="loki">Logs</option>
                <option value="tempo">Traces</option>
              </select>
              {type !== 'tempo' && (
                <>
                  <select className="select" aria-label={`Format of query ${t.refId}`} value={str(t.raw['format']) ?? 'time_series'} onChange={(e) => change((raw) => (at(raw, i)['format'] = e.target.value))}>
                    <option value="time_series">Time series</option>
                    <option value="table">Table</option>
                    <option value="heatmap">Heatmap</option>
                  </select>
                  <label className="row">
                    <input type="checkbox" checked={t.raw['instant'] === true} onChange={(e) => change((raw) => Object.assign(at(raw, i), { instant: e.target.checked, range: !e.target.checked }))} /> Instant
                  </label>
                  <Field label="Legend">
                    <Text value={str(t.raw['legendFormat']) ?? ''} label={`Legend of query ${t.refId}`} placeholder="{{label}}" onCommit={(v) => change((raw) => (at(raw, i)['legendFormat'] = v))} />
                  </Field>
                </>
              )}
              <span className="grow" />
              <IconButton icon={t.hide ? 'eyeoff' : 'eye'} kind="quiet" small label={t.hide ? 'Show' : 'Hide'} onClick={() => change((raw) => (at(raw, i)['hide'] = !t.hide))} />
              <IconButton icon="trash" kind="quiet" small label={`Remove query ${t.refId}`} onClick={() => change((raw) => (raw['targets'] = arr(raw['targets']).filter((_, k) => k !== i)))} />
            </div>
            <QueryField language={languages[type]!} value={str(t.raw[key]) ?? ''} label={`Query ${t.refId}`} onCommit={(v) => change((raw) => (at(raw, i)[key] = v))} />
          </div>
        );
      })}
      <div>
        <Button small icon="plus" onClick={() => change((raw) => (raw['targets'] = [...arr(raw['targets']), { refId: next(), expr: '' }]))}>
          Add query
        </Button>
      </div>
    </div>
  );
}

const names: Record<string, string> = { timeseries: 'Time series', stat: 'Stat', gauge: 'Gauge', bargauge: 'Bar gauge', table: 'Table', text: 'Text', logs: 'Logs', heatmap: 'Heatmap', 'state-timeline': 'State timeline', 'status-history': 'Status history', piechart: 'Pie chart', barchart: 'Bar chart', histogram: 'Histogram', nodeGraph: 'Node graph', traces: 'Traces', alertlist: 'Alert list', dashlist: 'Dashboard list' };
const types: Choices = [...drawn].filter((t) => t !== 'row').map((t) => [t, names[t] ?? t] as const);

function Look({ panel, variables, change }: PartProps & { variables: string[] }): JSX.Element {
  const defaults = (raw: Json): Json => {
    const config = (raw['fieldConfig'] = { overrides: [], ...obj(raw['fieldConfig']) }) as Json;
    return (config['defaults'] = { ...obj(config['defaults']) }) as Json;
  };
  const options = (raw: Json): Json => (raw['options'] = { ...obj(raw['options']) }) as Json;
  return (
    <div className="g-fields">
      <Field label="Title">
        <Text value={panel.title} onCommit={(v) => change((raw) => (raw['title'] = v))} />
      </Field>
      <Field label="Description">
        <Text value={panel.description} onCommit={(v) => change((raw) => put(raw, 'description', v))} />
      </Field>
      <Field label="Type">
        <Select value={panel.type} choices={types} onChange={(v) => change((raw) => (raw['type'] = v))} />
      </Field>
      {panel.type === 'text' ? (
        <Field label="Content">
          <Text lines={14} value={str(panel.options['content']) ?? ''} onCommit={(v) => change((raw) => (options(raw)['content'] = v))} />
        </Field>
      ) : (
        <>
          <Properties list={panelProperties} panel={panel.type} value={panel.options} onChange={(path, v) => change((raw) => setAt(options(raw), path, v))} />
          <Properties list={fieldProperties} panel={panel.type} value={obj(obj(panel.raw['fieldConfig'])['defaults'])} onChange={(path, v) => change((raw) => setAt(defaults(raw), path, v))} />
        </>
      )}
      <Repeating panel={panel} variables={variables} change={change} />
      {panel.type !== 'text' && <OwnTime panel={panel} change={change} />}
      <fieldset>
        <legend>Links of the panel</legend>
        <LinksForm links={panel.links} options="/logs?${__url_time_range}" onChange={(list) => change((raw) => (raw['links'] = list))} />
      </fieldset>
    </div>
  );
}

function AsJSON({ panel, onChange }: { panel: Panel; onChange: (raw: Json) => void }): JSX.Element {
  return (
    <div className="g-fields">
      <JSONField
        label="Panel JSON"
        text={JSON.stringify(panel.raw, null, 2)}
        onApply={(_text, value) => {
          if (Object.keys(obj(value)).length === 0) throw new Error('A panel is an object with a type.');
          onChange({ ...obj(value), id: panel.id });
        }}
      />
    </div>
  );
}
