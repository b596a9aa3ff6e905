/** Editing a panel: queries, type, unit, thresholds, links; the JSON for all the rest. */
import { useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { useTime } from '@/app/time';
import { QueryEditor } from '@/query/editor';
import { arr, clone, num, obj, str } from '@/grafana/model';
import type { Json, Panel } from '@/grafana/model';
import { drawn } from '@/grafana/support';
import { sourceOf, sources } from '@/grafana/sources';
import { unitChoices } from '@/grafana/units';
import { Button, ErrorBox, IconButton, Tabs } from '@/ui/kit';

type Tab = 'query' | 'panel' | 'json';

export default function Editor({ panel, preview, onChange, onDone }: { panel: Panel; preview: JSX.Element; onChange: (raw: Json) => void; onDone: () => void }): JSX.Element {
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
            { id: 'panel', label: 'Panel' },
            { id: 'json', label: 'JSON' },
          ]}
          end={
            <Button small kind="primary" onClick={onDone}>
              Back to the dashboard
            </Button>
          }
        />
        {tab === 'query' && <Queries panel={panel} change={change} />}
        {tab === 'panel' && <Look panel={panel} change={change} />}
        {tab === 'json' && <AsJSON panel={panel} onChange={onChange} />}
      </div>
    </div>
  );
}

interface PartProps {
  panel: Panel;
  change: (f: (raw: Json) => void) => void;
}

const languages: Record<string, 'promql' | 'logql' | 'traceql'> = { prometheus: 'promql', loki: 'logql', tempo: 'traceql' };

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
            <Query language={languages[type]!} value={str(t.raw[key]) ?? ''} label={`Query ${t.refId}`} onCommit={(v) => change((raw) => (at(raw, i)[key] = v))} />
          </div>
        );
      })}
      <Button small icon="plus" onClick={() => change((raw) => (raw['targets'] = [...arr(raw['targets']), { refId: next(), expr: '' }]))}>
        Add query
      </Button>
    </div>
  );
}

function Query({ language, value, label, onCommit }: { language: 'promql' | 'logql' | 'traceql'; value: string; label: string; onCommit: (v: string) => void }): JSX.Element {
  const [text, setText] = useState(value);
  const time = useTime();
  return (
    <div className="g-code" onBlur={() => text !== value && onCommit(text)}>
      <QueryEditor language={language} value={text} onChange={setText} onRun={onCommit} label={label} range={time.range} />
    </div>
  );
}

function Field({ label, children }: { label: string; children: ReactNode }): JSX.Element {
  return (
    <label className="g-field">
      <span>{label}</span>
      {children}
    </label>
  );
}

/** A text field that reports once the user is done with it. */
function Text({ value, label, placeholder, onCommit, list, type }: { value: string; label?: string; placeholder?: string; onCommit: (v: string) => void; list?: string; type?: string }): JSX.Element {
  const [text, setText] = useState(value);
  const [base, setBase] = useState(value);
  if (base !== value) {
    setBase(value);
    setText(value);
  }
  const commit = () => text !== value && onCommit(text);
  return <input className="input" aria-label={label} placeholder={placeholder} value={text} list={list} type={type ?? 'text'} onChange={(e) => setText(e.target.value)} onBlur={commit} onKeyDown={(e) => e.key === 'Enter' && commit()} />;
}

const names: Record<string, string> = { timeseries: 'Time series', stat: 'Stat', gauge: 'Gauge', bargauge: 'Bar gauge', table: 'Table', text: 'Text', logs: 'Logs', heatmap: 'Heatmap', 'state-timeline': 'State timeline', 'status-history': 'Status history', piechart: 'Pie chart', barchart: 'Bar chart', histogram: 'Histogram', nodeGraph: 'Node graph', traces: 'Traces', alertlist: 'Alert list', dashlist: 'Dashboard list' };
const colors = ['green', 'yellow', 'orange', 'red', 'blue', 'purple', 'text', 'transparent'];

function Look({ panel, change }: PartProps): JSX.Element {
  const defaults = (raw: Json): Json => {
    const config = (raw['fieldConfig'] = { overrides: [], ...obj(raw['fieldConfig']) }) as Json;
    return (config['defaults'] = { ...obj(config['defaults']) }) as Json;
  };
  const custom = (raw: Json): Json => {
    const d = defaults(raw);
    return (d['custom'] = { ...obj(d['custom']) }) as Json;
  };
  const put = (o: Json, key: string, v: unknown) => {
    if (v === undefined || v === '') delete o[key];
    else o[key] = v;
  };
  const d = panel.defaults;
  const steps = d.thresholds?.steps ?? [];
  const setSteps = (list: { value: number; color: string }[]) => change((raw) => (defaults(raw)['thresholds'] = { mode: d.thresholds?.mode ?? 'absolute', steps: list.map((s) => ({ color: s.color, value: Number.isFinite(s.value) ? s.value : null })) }));
  const links = d.links ?? [];
  const setLinks = (list: { title: string; url: string; newTab: boolean }[]) => change((raw) => (defaults(raw)['links'] = list.map((l) => ({ title: l.title, url: l.url, targetBlank: l.newTab }))));
  const number = (key: 'min' | 'max' | 'decimals') => <Text type="number" value={d[key] === undefined ? '' : String(d[key])} onCommit={(v) => change((raw) => put(defaults(raw), key, num(v)))} />;
  return (
    <div className="g-fields">
      <Field label="Title">
        <Text value={panel.title} onCommit={(v) => change((raw) => (raw['title'] = v))} />
      </Field>
      <Field label="Description">
        <Text value={panel.description} onCommit={(v) => change((raw) => (raw['description'] = v))} />
      </Field>
      <Field label="Type">
        <select className="select" value={panel.type} onChange={(e) => change((raw) => (raw['type'] = e.target.value))}>
          {!names[panel.type] && <option value={panel.type}>{panel.type}</option>}
          {[...drawn].filter((t) => t !== 'row').map((t) => (
            <option key={t} value={t}>
              {names[t] ?? t}
            </option>
          ))}
        </select>
      </Field>
      {panel.type === 'text' ? (
        <Field label="Content">
          <textarea className="input g-area" defaultValue={str(panel.options['content']) ?? ''} onBlur={(e) => change((raw) => (raw['options'] = { ...obj(raw['options']), content: e.target.value }))} />
        </Field>
      ) : (
        <>
          <Field label="Unit">
            <Text value={d.unit ?? ''} list="units" placeholder="none" onCommit={(v) => change((raw) => put(defaults(raw), 'unit', v))} />
          </Field>
          <datalist id="units">
            {unitChoices.map((u) => (
              <option key={u} value={u} />
            ))}
          </datalist>
          <div className="g-three">
            <Field label="Min">{number('min')}</Field>
            <Field label="Max">{number('max')}</Field>
            <Field label="Decimals">{number('decimals')}</Field>
          </div>
          {panel.type === 'timeseries' && (
            <div className="g-three">
              <Field label="Draw">
                <select className="select" value={str(d.custom['drawStyle']) ?? 'line'} onChange={(e) => change((raw) => (custom(raw)['drawStyle'] = e.target.value))}>
                  <option value="line">Lines</option>
                  <option value="bars">Bars</option>
                  <option value="points">Points</option>
                </select>
              </Field>
              <Field label="Stack">
                <select className="select" value={str(obj(d.custom['stacking'])['mode']) ?? 'none'} onChange={(e) => change((raw) => (custom(raw)['stacking'] = { group: 'A', mode: e.target.value }))}>
                  <option value="none">Off</option>
                  <option value="normal">Normal</option>
                  <option value="percent">100 %</option>
                </select>
              </Field>
              <Field label="Fill, %">
                <Text type="number" value={String(num(d.custom['fillOpacity']) ?? 0)} onCommit={(v) => change((raw) => (custom(raw)['fillOpacity'] = num(v) ?? 0))} />
              </Field>
            </div>
          )}
          <fieldset>
            <legend>Thresholds</legend>
            {steps.map((s, i) => (
              <div key={i} className="row">
                <select className="select" aria-label={`Colour of threshold ${i + 1}`} value={s.color} onChange={(e) => setSteps(steps.map((x, k) => (k === i ? { ...x, color: e.target.value } : x)))}>
                  {!colors.includes(s.color) && <option>{s.color}</option>}
                  {colors.map((c) => (
                    <option key={c}>{c}</option>
                  ))}
                </select>
                {Number.isFinite(s.value) ? <Text type="number" label={`Threshold ${i + 1}`} value={String(s.value)} onCommit={(v) => setSteps(steps.map((x, k) => (k === i ? { ...x, value: num(v) ?? x.value } : x)))} /> : <span className="muted">base</span>}
                {Number.isFinite(s.value) && <IconButton icon="x" kind="quiet" small label={`Remove threshold ${i + 1}`} onClick={() => setSteps(steps.filter((_, k) => k !== i))} />}
              </div>
            ))}
            <Button small icon="plus" onClick={() => setSteps(steps.length === 0 ? [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] : [...steps, { value: (steps[steps.length - 1]!.value > -Infinity ? steps[steps.length - 1]!.value : 0) + 10, color: 'red' }])}>
              Add threshold
            </Button>
          </fieldset>
          <fieldset>
            <legend>Data links</legend>
            {links.map((l, i) => (
              <div key={i} className="row">
                <Text label={`Title of link ${i + 1}`} placeholder="Title" value={l.title} onCommit={(v) => setLinks(links.map((x, k) => (k === i ? { ...x, title: v } : x)))} />
                <Text label={`Address of link ${i + 1}`} placeholder="/logs?q=…${__field.labels.service_name}" value={l.url} onCommit={(v) => setLinks(links.map((x, k) => (k === i ? { ...x, url: v } : x)))} />
                <IconButton icon="x" kind="quiet" small label={`Remove link ${i + 1}`} onClick={() => setLinks(links.filter((_, k) => k !== i))} />
              </div>
            ))}
            <Button small icon="plus" onClick={() => setLinks([...links, { title: 'Logs', url: '/d/logs?var-service=${__field.labels.service_name}&${__url_time_range}', newTab: false }])}>
              Add link
            </Button>
          </fieldset>
        </>
      )}
    </div>
  );
}

function AsJSON({ panel, onChange }: { panel: Panel; onChange: (raw: Json) => void }): JSX.Element {
  const [text, setText] = useState(() => JSON.stringify(panel.raw, null, 2));
  const [error, setError] = useState<unknown>();
  const apply = () => {
    try {
      const raw: unknown = JSON.parse(text);
      if (Object.keys(obj(raw)).length === 0) throw new Error('A panel is an object with a type.');
      onChange({ ...obj(raw), id: panel.id });
      setError(undefined);
    } catch (err) {
      setError(err);
    }
  };
  return (
    <div className="g-fields">
      <textarea className="input g-area mono" aria-label="Panel JSON" spellCheck={false} value={text} onChange={(e) => setText(e.target.value)} />
      {error !== undefined && <ErrorBox error={error} />}
      <Button small onClick={apply}>
        Apply
      </Button>
    </div>
  );
}
