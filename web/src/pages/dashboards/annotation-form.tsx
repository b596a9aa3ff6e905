/** The annotations of a dashboard: queries whose answers become marks on the charts. */
import { useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { formatTime } from '@/core/time/range';
import { answerable, runAnnotation } from '@/grafana/annotations';
import { cssColor } from '@/grafana/color';
import { arr, num, obj } from '@/grafana/model';
import type { Annotation, Dashboard, Json } from '@/grafana/model';
import { sourceOfAnnotation, sources } from '@/grafana/sources';
import type { Values } from '@/grafana/template';
import { Check, ColorText, Field, put, Select, Text } from './form';
import type { Choices } from './form';
import { ListForm } from './list-form';
import { languages, QueryField } from './query-field';

export function AnnotationsForm({ dashboard: d, values, change }: { dashboard: Dashboard; values: Values; change: (f: (d: Json) => void) => void }): JSX.Element {
  const list = arr(obj(d.raw['annotations'])['list']).map(obj);
  return (
    <ListForm
      what="annotation"
      list={list}
      titles={d.annotations.map((a) => (a.builtIn ? undefined : { title: a.name, detail: `${a.enable ? '' : 'off  '}${a.expr}`, mark: <i className="g-dot" style={{ background: cssColor(a.color) }} /> }))}
      hint="An annotation marks moments on every chart: deployments, restarts, alerts. It comes from a query of metrics, logs or traces."
      fresh={() => ({ name: 'Restarts', enable: true, iconColor: 'blue', datasource: { type: 'prometheus', uid: 'pharos-metrics' }, expr: examples['prometheus'], titleFormat: 'Restart', textFormat: '{{service_name}}' })}
      onChange={(next) => change((j) => (j['annotations'] = { ...obj(j['annotations']), list: next }))}
    >
      {(i, set) => <AnnotationForm a={d.annotations[i]!} dashboard={d} values={values} set={set} />}
    </ListForm>
  );
}

const signals: Choices = [['prometheus', 'Metrics'], ['loki', 'Logs'], ['tempo', 'Traces']];

/** What a new annotation asks; also when its signal changes, since no query means anything to another. */
const examples: Record<string, string> = { prometheus: 'changes(process_start_time_seconds[$__interval]) > 0', loki: '{service_name=~".+"} |= "deploy"', tempo: '{ status = error }' };

/** The query stands beside the rest, or in a target of its own in newer dashboards. */
function setExpr(j: Json, expr: string): void {
  const target = obj(j['target']);
  if (j['expr'] !== undefined || Object.keys(target).length === 0) j['expr'] = expr;
  if (Object.keys(target).length > 0) j['target'] = { ...target, [target['query'] !== undefined && target['expr'] === undefined ? 'query' : 'expr']: expr };
}

function AnnotationForm({ a, dashboard, values, set }: { a: Annotation; dashboard: Dashboard; values: Values; set: (f: (j: Json) => void) => void }): JSX.Element {
  const source = sourceOfAnnotation(a, values, dashboard.variables) ?? 'prometheus';
  const panels = dashboard.panels.flatMap((p) => (p.type === 'row' ? p.panels : [p]));
  return (
    <div className="g-fields">
      <div className="g-three">
        <Field label="Name">
          <Text value={a.name} check={(v) => (v.trim() === '' ? 'An annotation needs a name.' : undefined)} onCommit={(v) => set((j) => (j['name'] = v))} />
        </Field>
        <Field label="Ask">
          <Select
            value={source}
            choices={signals}
            onChange={(t) => {
              const to = sources.find((s) => s.type === t)!;
              set((j) => {
                j['datasource'] = { type: to.type, uid: to.uid };
                setExpr(j, examples[t]!);
              });
            }}
          />
        </Field>
        <Field label="Colour">
          <ColorText label="Colour" value={a.color} onCommit={(v) => set((j) => (j['iconColor'] = v || 'blue'))} />
        </Field>
      </div>
      <div className="g-field">
        <span>{source === 'prometheus' ? 'PromQL: a mark where an unbroken run of points begins' : source === 'loki' ? 'LogQL: a mark for every line' : 'TraceQL: a mark for every trace'}</span>
        <QueryField key={source} language={languages[source]!} label={`Query of ${a.name}`} value={a.expr} onCommit={(v) => set((j) => setExpr(j, v))} />
      </div>
      <div className="g-three">
        <Field label="Title" hint="{{label}} is filled in">
          <Text value={a.title} placeholder={a.name} onCommit={(v) => set((j) => put(j, 'titleFormat', v))} />
        </Field>
        <Field label="Text">
          <Text value={a.text} placeholder={source === 'loki' ? 'the line' : '{{instance}}'} onCommit={(v) => set((j) => put(j, 'textFormat', v))} />
        </Field>
        <Field label="Labels that are tags">
          <Text value={a.tags.join(', ')} placeholder="env, version" onCommit={(v) => set((j) => put(j, 'tagKeys', v))} />
        </Field>
        {source === 'prometheus' ? (
          <Field label="Step">
            <Text value={a.step ?? ''} placeholder="auto" onCommit={(v) => set((j) => put(j, 'step', v))} />
          </Field>
        ) : (
          <Field label="At most">
            <Text type="number" value={String(a.limit)} onCommit={(v) => set((j) => (j['maxLines'] = num(v) ?? 100))} />
          </Field>
        )}
        <Field label="On">
          <Select
            value={!a.only ? 'all' : a.only.exclude ? 'without' : 'only'}
            choices={[['all', 'All charts'], ['only', 'Only these panels'], ['without', 'All but these panels']]}
            onChange={(v) => set((j) => put(j, 'filter', v === 'all' ? undefined : { exclude: v === 'without', ids: a.only?.ids ?? panels.slice(0, 1).map((p) => p.id) }))}
          />
        </Field>
      </div>
      {a.only && (
        <div className="row wrap">
          {panels.map((p) => (
            <Check key={p.id} value={a.only!.ids.includes(p.id)} onChange={(on) => set((j) => (j['filter'] = { exclude: a.only!.exclude, ids: on ? [...a.only!.ids, p.id] : a.only!.ids.filter((x) => x !== p.id) }))}>
              {p.title || p.type}
            </Check>
          ))}
        </div>
      )}
      <div className="row wrap">
        <Check value={a.enable} onChange={(v) => set((j) => (j['enable'] = v))}>
          On at first
        </Check>
        <Check value={a.hide} onChange={(v) => set((j) => (j['hide'] = v))}>
          No switch above the panels
        </Check>
        {source === 'prometheus' && (
          <Check value={a.valueIsTime} onChange={(v) => set((j) => put(j, 'useValueForTime', v || undefined))}>
            The value is the time
          </Check>
        )}
      </div>
      {answerable(a, dashboard.variables) && <Found a={a} dashboard={dashboard} values={values} />}
    </div>
  );
}

function Found({ a, dashboard, values }: { a: Annotation; dashboard: Dashboard; values: Values }): JSX.Element {
  const time = useTime();
  const q = useQuery({ queryKey: ['annotation', a, values, time.range], queryFn: ({ signal }) => runAnnotation(a, values, dashboard.variables, time.range, signal), placeholderData: (old) => old, retry: false });
  return (
    <section className="g-values" aria-label={`What ${a.name} marks`} data-testid="found">
      <span className="muted">{q.data ? `${q.data.length === 1 ? 'One mark' : `${q.data.length} marks`} in this time range` : q.error ? 'It cannot be answered' : 'Asking…'}</span>
      {q.error && <span className="g-wrong">{q.error.message}</span>}
      <ul>
        {q.data?.slice(0, 5).map((m, i) => (
          <li key={i} className="clip">
            <span className="num muted">{formatTime(m.time)}</span> {m.text}
          </li>
        ))}
      </ul>
    </section>
  );
}
