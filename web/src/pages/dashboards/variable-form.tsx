/** The variables of a dashboard: what they ask, how the answer becomes choices, and the choices as they are now. */
import { useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { lokiLabels } from '@/core/api/loki';
import { labelNames } from '@/core/api/prometheus';
import { traceTags } from '@/core/api/tempo';
import { arr, num, obj, str } from '@/grafana/model';
import type { Dashboard, Json, Variable } from '@/grafana/model';
import { sourceOfVariable, sources } from '@/grafana/sources';
import { references } from '@/grafana/template';
import { queryText, readQuery } from '@/grafana/variables';
import type { Resolved, VariableQuery } from '@/grafana/variables';
import { Check, Field, put, Select, Text } from './form';
import type { Choices } from './form';
import { ListForm } from './list-form';
import { QueryField } from './query-field';

const types: Choices = [['query', 'Query'], ['custom', 'Custom list'], ['textbox', 'Text box'], ['interval', 'Interval'], ['constant', 'Constant'], ['datasource', 'Data source'], ['adhoc', 'Filters on any label']];
const typeName = (t: string) => types.find(([id]) => id === t)?.[1] ?? t;

export function VariablesForm({ dashboard: d, resolved, change }: { dashboard: Dashboard; resolved: Resolved[]; change: (f: (d: Json) => void) => void }): JSX.Element {
  const list = arr(obj(d.raw['templating'])['list']).map(obj);
  const free = (base: string) => {
    for (let n = 1; ; n++) {
      const name = n === 1 ? base : `${base}${n}`;
      if (!d.variables.some((v) => v.name === name)) return name;
    }
  };
  return (
    <ListForm
      what="variable"
      list={list}
      titles={d.variables.map((v) => ({ title: `$${v.name}`, detail: `${typeName(v.type)}${v.type === 'query' ? `: ${queryText(readQuery(v))}` : ''}${v.hide === 'all' ? ' (hidden)' : ''}` }))}
      hint="A variable is a choice above the panels. Queries use it as $name or ${name:format}."
      fresh={() => ({ name: free('service'), type: 'query', label: '', datasource: { type: 'prometheus', uid: 'pharos-metrics' }, query: { query: 'label_values(service_name)', refId: 'Variable' }, refresh: 1, sort: 1, multi: true, includeAll: true, hide: 0 })}
      rename={(j) => (j['name'] = free(String(j['name'] ?? 'variable')))}
      onChange={(next) => change((j) => (j['templating'] = { ...obj(j['templating']), list: next }))}
    >
      {(i, set) => <VariableForm v={d.variables[i]!} dashboard={d} resolved={resolved.find((r) => r.variable.name === d.variables[i]!.name)} set={set} />}
    </ListForm>
  );
}

const hides: Choices = [['0', 'Label and choice'], ['1', 'Choice only'], ['2', 'Nothing']];
const sorts: Choices = [['0', 'As answered'], ['1', 'A to Z'], ['2', 'Z to A'], ['3', 'Numbers up'], ['4', 'Numbers down'], ['5', 'A to Z, any case'], ['6', 'Z to A, any case'], ['7', 'Natural, up'], ['8', 'Natural, down']];
const refreshes: Choices = [['1', 'When the dashboard opens'], ['2', 'When the time range changes']];

interface FormProps {
  v: Variable;
  set: (f: (j: Json) => void) => void;
}

function VariableForm({ v, dashboard, resolved, set }: FormProps & { dashboard: Dashboard; resolved: Resolved | undefined }): JSX.Element {
  const listed = v.type === 'query' || v.type === 'custom' || v.type === 'datasource';
  const used = dashboard.panels.flatMap((p) => [p, ...p.panels]).filter((p) => references(JSON.stringify(p.raw)).includes(v.name)).length;
  const badName = (name: string) => {
    if (!/^\w+$/.test(name)) return 'Letters, digits and _ only.';
    return dashboard.variables.some((o) => o !== v && o.name === name) ? 'Another variable has this name.' : undefined;
  };
  return (
    <div className="g-fields">
      <div className="g-three">
        <Field label="Name" hint={used > 0 ? `Used by ${used === 1 ? 'one panel' : `${used} panels`}` : v.type === 'adhoc' ? 'Filters every query' : 'No panel uses it yet'}>
          <Text value={v.name} check={badName} onCommit={(name) => set((j) => (j['name'] = name))} />
        </Field>
        <Field label="Type">
          <Select value={v.type} choices={types} onChange={(t) => set((j) => retype(j, t))} />
        </Field>
        <Field label="Caption">
          <Text value={v.label === v.name ? '' : v.label} placeholder={v.name} onCommit={(t) => set((j) => put(j, 'label', t))} />
        </Field>
        <Field label="Shown">
          <Select value={v.type === 'constant' ? '2' : v.hide === 'all' ? '2' : v.hide === 'label' ? '1' : '0'} choices={hides} onChange={(t) => set((j) => (j['hide'] = Number(t)))} />
        </Field>
      </div>
      {v.type === 'query' && <QueryForm v={v} dashboard={dashboard} set={set} />}
      {v.type === 'datasource' && <SourceForm v={v} set={set} />}
      {v.type === 'interval' && <IntervalForm v={v} set={set} />}
      {(v.type === 'custom' || v.type === 'textbox' || v.type === 'constant') && (
        <Field label={v.type === 'custom' ? 'Values, with commas between them; “text : value” shows another text' : v.type === 'textbox' ? 'Value at first' : 'Value'}>
          <Text value={String(v.query ?? '')} placeholder={v.type === 'custom' ? 'prod, staging, Development : dev' : ''} onCommit={(t) => set((j) => Object.assign(j, { query: t, current: undefined, options: undefined }))} />
        </Field>
      )}
      {listed && (
        <div className="row wrap">
          <Check value={v.multi} onChange={(on) => set((j) => (j['multi'] = on))}>
            Several at once
          </Check>
          <Check value={v.includeAll} onChange={(on) => set((j) => (j['includeAll'] = on))}>
            Offer All
          </Check>
          {v.includeAll && (
            <Field label="All means">
              <Text value={v.allValue ?? ''} placeholder="every value" onCommit={(t) => set((j) => put(j, 'allValue', t))} />
            </Field>
          )}
        </div>
      )}
      <Preview v={v} resolved={resolved} />
    </div>
  );
}

/** Another type asks something else, and what was chosen means nothing to it. */
function retype(j: Json, type: string): void {
  const query: Record<string, unknown> = { query: { query: 'label_values(service_name)', refId: 'Variable' }, custom: 'a, b', textbox: '', interval: '1m,5m,15m,1h,6h,1d', constant: '', datasource: 'prometheus' };
  for (const k of ['options', 'current', 'definition', 'regex', 'auto', 'auto_count', 'auto_min']) delete j[k];
  j['type'] = type;
  put(j, 'query', query[type]);
  if (type === 'query' || type === 'adhoc') j['datasource'] = { type: 'prometheus', uid: 'pharos-metrics' };
  else delete j['datasource'];
  if (type === 'query') j['refresh'] = 1;
}

const signals: Choices = [['prometheus', 'Metrics'], ['loki', 'Logs'], ['tempo', 'Traces']];
const forms: Record<string, Choices> = {
  prometheus: [['label_values', 'Values of a label'], ['label_names', 'Names of labels'], ['metrics', 'Names of metrics'], ['query_result', 'Result of a query'], ['series', 'Series']],
  loki: [['label_values', 'Values of a label'], ['label_names', 'Names of labels']],
  tempo: [['label_values', 'Values of an attribute']],
};

function QueryForm({ v, dashboard, set }: FormProps & { dashboard: Dashboard }): JSX.Element {
  const time = useTime();
  const s = sourceOfVariable(v, {}, dashboard.variables);
  const source = s === 'loki' || s === 'tempo' ? s : 'prometheus';
  const q = readQuery(v);
  const names = useQuery({
    queryKey: ['labels of', source],
    queryFn: ({ signal }) => (source === 'loki' ? lokiLabels(time.range, signal) : source === 'tempo' ? traceTags(time.range, signal).then((t) => t.flatMap((x) => x.tags.map((tag) => (x.name === 'intrinsic' ? tag : `${x.name}.${tag}`)))) : labelNames(undefined, time.range, signal)),
    staleTime: 60_000,
    retry: false,
    meta: { clock: false },
  });
  const ask = (next: VariableQuery, to = source) =>
    set((j) => {
      // Kept in the form that it has: a text, an object around the text, or Loki's own object.
      const old = j['query'];
      if (to === 'loki') j['query'] = { refId: str(obj(old)['refId']) ?? 'Variable', type: next.kind === 'label_names' ? 0 : 1, label: next.kind === 'label_values' ? next.label : '', stream: next.kind === 'label_values' ? (next.match ?? '') : '' };
      else if (typeof old === 'string') j['query'] = queryText(next);
      else j['query'] = { ...(obj(old)['stream'] === undefined ? obj(old) : {}), query: queryText(next), refId: str(obj(old)['refId']) ?? 'Variable' };
      if (j['definition'] !== undefined) j['definition'] = queryText(next);
      for (const k of ['options', 'current']) delete j[k];
    });
  const kind = (to: string): VariableQuery => {
    switch (to) {
      case 'label_names':
        return { kind: 'label_names', match: undefined };
      case 'metrics':
        return { kind: 'metrics', pattern: '.*' };
      case 'query_result':
        return { kind: 'query_result', expr: 'count by (job) ({__name__=~"up|target_info"})' };
      case 'series':
        return { kind: 'series', match: 'up' };
      default:
        return { kind: 'label_values', match: undefined, label: 'service_name' };
    }
  };
  return (
    <>
      <div className="g-three">
        <Field label="Ask">
          <Select
            value={source}
            choices={signals}
            onChange={(t) => {
              const to = sources.find((x) => x.type === t)!;
              set((j) => (j['datasource'] = { type: to.type, uid: to.uid }));
              ask({ kind: 'label_values', match: undefined, label: t === 'tempo' ? 'resource.service.name' : 'service_name' }, t as typeof source);
            }}
          />
        </Field>
        <Field label="For">
          <Select value={q.kind === 'unsupported' ? '' : q.kind} choices={forms[source]!} onChange={(k) => ask(kind(k))} />
        </Field>
        {q.kind === 'label_values' && (
          <Field label={source === 'tempo' ? 'Attribute' : 'Label'}>
            <Text value={q.label} choices={names.data ?? []} onCommit={(label) => ask({ ...q, label })} />
          </Field>
        )}
        {q.kind === 'metrics' && (
          <Field label="Matching">
            <Text value={q.pattern} placeholder="node_.*" onCommit={(pattern) => ask({ ...q, pattern })} />
          </Field>
        )}
      </div>
      {(q.kind === 'label_values' || q.kind === 'label_names') && source !== 'tempo' && (q.kind === 'label_values' || source === 'prometheus') && (
        <Field label={source === 'loki' ? 'Of the streams (optional)' : 'Of the series (optional)'}>
          <Text value={q.match ?? ''} placeholder={source === 'loki' ? '{namespace="$namespace"}' : 'up{job="$job"}'} onCommit={(match) => ask({ ...q, match: match || undefined })} />
        </Field>
      )}
      {q.kind === 'series' && (
        <Field label="Selector">
          <Text value={q.match} placeholder='up{job="$job"}' onCommit={(match) => ask({ kind: 'series', match })} />
        </Field>
      )}
      {q.kind === 'query_result' && (
        <div className="g-field">
          <span>PromQL</span>
          <QueryField language="promql" label={`Query of ${v.name}`} value={q.expr} onCommit={(expr) => ask({ kind: 'query_result', expr })} />
        </div>
      )}
      <div className="g-three">
        <Field label="Keep what matches" hint="A group, or groups named text and value, take a part">
          <Text value={v.regex} placeholder="/^(.*):\d+$/" onCommit={(t) => set((j) => (j['regex'] = t))} />
        </Field>
        <Field label="Sort">
          <Select value={String(v.sort)} choices={sorts} onChange={(t) => set((j) => (j['sort'] = Number(t)))} />
        </Field>
        <Field label="Ask again">
          <Select value={String(v.refresh === 2 ? 2 : 1)} choices={refreshes} onChange={(t) => set((j) => (j['refresh'] = Number(t)))} />
        </Field>
      </div>
    </>
  );
}

function SourceForm({ v, set }: FormProps): JSX.Element {
  return (
    <div className="g-three">
      <Field label="Of type">
        <Select value={String(v.query ?? '')} choices={signals} onChange={(t) => set((j) => Object.assign(j, { query: t, current: undefined, options: undefined }))} />
      </Field>
      <Field label="Keep names that match">
        <Text value={v.regex} placeholder="/.*/" onCommit={(t) => set((j) => (j['regex'] = t))} />
      </Field>
    </div>
  );
}

function IntervalForm({ v, set }: FormProps): JSX.Element {
  return (
    <>
      <Field label="Intervals, with commas between them">
        <Text value={String(v.query ?? '')} placeholder="1m,5m,1h" onCommit={(t) => set((j) => Object.assign(j, { query: t, current: undefined, options: undefined }))} />
      </Field>
      <div className="row wrap">
        <Check value={v.auto} onChange={(on) => set((j) => (j['auto'] = on))}>
          Offer auto
        </Check>
        {v.auto && (
          <>
            <Field label="Points">
              <Text type="number" value={String(v.autoCount)} onCommit={(t) => set((j) => (j['auto_count'] = num(t) ?? 30))} />
            </Field>
            <Field label="At least">
              <Text value={v.autoMin} placeholder="10s" onCommit={(t) => set((j) => (j['auto_min'] = t || '10s'))} />
            </Field>
          </>
        )}
      </div>
    </>
  );
}

const shown = 60;

function Preview({ v, resolved }: { v: Variable; resolved: Resolved | undefined }): JSX.Element | null {
  if (v.type === 'adhoc' || v.type === 'constant' || v.type === 'textbox') return null;
  const options = resolved?.options ?? [];
  const problem = resolved?.error ?? resolved?.unsupported;
  return (
    <section className="g-values" aria-label={`Values of ${v.name}`} data-testid="values">
      <span className="muted">{problem ? 'It cannot be answered' : resolved ? `${options.length === 1 ? 'One value' : `${options.length} values`} now` : 'Asking…'}</span>
      {problem && <span className="g-wrong">{problem}</span>}
      <div className="row wrap">
        {options.slice(0, shown).map((o) => (
          <span key={o.value} className="chip" title={o.value}>
            {o.text}
          </span>
        ))}
        {options.length > shown && <span className="muted">and {options.length - shown} more</span>}
      </div>
    </section>
  );
}
