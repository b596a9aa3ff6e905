/** The transformations of a panel: what is done to the answers of its queries, step by step, before they are drawn. */
import { Fragment } from 'react';
import type { JSX } from 'react';
import { nameOf, reducerNames } from '@/grafana/frames';
import type { Frame } from '@/grafana/frames';
import { arr, num, obj, str } from '@/grafana/model';
import type { Json, Panel, Transformation } from '@/grafana/model';
import { transform, transformations } from '@/grafana/transforms';
import { IconButton } from '@/ui/kit';
import { Check, Field, put, Select, Text } from './form';
import type { Choices } from './form';
import { JSONField } from './json';
import { ListForm } from './list-form';

interface FormProps {
  options: Json;
  /** Changes a copy of the options. */
  set: (f: (o: Json) => void) => void;
  /** Fields that the step gets. */
  names: string[];
}

interface Kind {
  name: string;
  start: Json;
  form?: (p: FormProps) => JSX.Element;
  /** What it does, in a few words. */
  detail?: (o: Json) => string;
}

const kinds: Record<string, Kind> = {
  organize: { name: 'Organize fields', start: { excludeByName: {}, indexByName: {}, renameByName: {} }, form: Organize, detail: (o) => Object.entries(obj(o['renameByName'])).filter(([, to]) => to).map(([from, to]) => `${from} → ${String(to)}`).join(', ') },
  filterFieldsByName: { name: 'Keep fields by name', start: { include: { names: [] } }, form: KeepFields, detail: (o) => [...arr(obj(o['include'])['names']).map(String), str(obj(o['include'])['pattern']) ?? ''].filter(Boolean).join(', ') },
  merge: { name: 'Merge tables', start: {} },
  joinByField: { name: 'Join by field', start: { byField: 'Time', mode: 'outer' }, form: Join, detail: (o) => str(o['byField']) ?? 'Time' },
  reduce: { name: 'Reduce to one value', start: { reducers: ['lastNotNull'] }, form: Reduce, detail: (o) => arr(o['reducers']).map((r) => calcName(String(r))).join(', ') },
  calculateField: { name: 'Calculate a field', start: { mode: 'binary', binary: { left: '', operator: '+', right: '' } }, form: Calculate, detail: (o) => str(o['alias']) ?? '' },
  sortBy: { name: 'Sort', start: { sort: [{ field: '' }] }, form: Sort, detail: (o) => str(obj(arr(o['sort'])[0])['field']) ?? '' },
  limit: { name: 'Limit rows', start: { limitField: 10 }, form: Limit, detail: (o) => String(num(o['limitField']) ?? 10) },
  groupBy: { name: 'Group rows', start: { fields: {} }, form: Group, detail: (o) => Object.entries(obj(o['fields'])).filter(([, f]) => obj(f)['operation'] === 'groupby').map(([k]) => k).join(', ') },
};

const choices: Choices = [...Object.entries(kinds).map(([id, k]) => [id, k.name] as const), ...transformations.filter((id) => !kinds[id]).map((id) => [id, id] as const)];
const calcs: Choices = ['lastNotNull', 'mean', 'min', 'max', 'sum', 'count', 'first', 'last', 'median', 'range', 'diff', 'distinctCount'].map((id) => [id, calcName(id)] as const);

function calcName(id: string): string {
  if (id === 'lastNotNull' || id === 'firstNotNull') return `${reducerNames[id]} *`;
  return reducerNames[id] ?? (id === 'distinctCount' ? 'Distinct count' : id);
}

interface Props {
  panel: Panel;
  /** What the queries answered, before any transformation. */
  answered: Frame[];
  onChange: (list: Json[]) => void;
}

export function Transformations({ panel, answered, onChange }: Props): JSX.Element {
  const list = arr(panel.raw['transformations']).map(obj);
  const namesAt = (steps: Transformation[]) => {
    const frames = transform(answered, steps, (s) => s);
    return [...new Set(frames.flatMap((f) => f.fields.map((c) => nameOf(c, f, frames))))];
  };
  return (
    <ListForm
      what="transformation"
      list={list}
      titles={panel.transformations.map((t) => ({ title: kinds[t.id]?.name ?? t.id, detail: `${kinds[t.id]?.detail?.(t.options) ?? ''}${t.disabled ? ' (off)' : ''}` }))}
      hint="A transformation changes what the queries answered before it is drawn: columns renamed, series joined to a table, values calculated."
      fresh={() => ({ id: 'organize', options: kinds['organize']!.start })}
      onChange={onChange}
    >
      {(i, set) => {
        const t = panel.transformations[i]!;
        const Form = kinds[t.id]?.form;
        const change = (f: (o: Json) => void) => set((j) => f((j['options'] = { ...obj(j['options']) })));
        return (
          <div className="g-fields">
            <div className="g-three">
              <Field label="Do">
                <Select value={t.id} choices={choices} onChange={(id) => set((j) => Object.assign(j, { id, options: kinds[id]?.start ?? {} }))} />
              </Field>
            </div>
            {Form ? (
              <Form options={t.options} set={change} names={namesAt(panel.transformations.slice(0, i))} />
            ) : (
              !kinds[t.id] && <JSONField label={`Options of ${t.id}`} text={JSON.stringify(t.options, null, 2)} onApply={(_text, value) => set((j) => (j['options'] = obj(value)))} />
            )}
            <Check value={!t.disabled} onChange={(on) => set((j) => put(j, 'disabled', on ? undefined : true))}>
              On
            </Check>
          </div>
        );
      }}
    </ListForm>
  );
}

/** Any number of a list. */
function Several({ label, value, choices, onChange }: { label: string; value: string[]; choices: Choices; onChange: (v: string[]) => void }): JSX.Element {
  const lost = value.filter((v) => !choices.some(([c]) => c === v)).map((v) => [v, v] as const);
  return (
    <fieldset>
      <legend>{label}</legend>
      <div className="row wrap">
        {[...choices, ...lost].map(([v, name]) => (
          <Check key={v} value={value.includes(v)} onChange={(on) => onChange(on ? [...value, v] : value.filter((x) => x !== v))}>
            {name}
          </Check>
        ))}
      </div>
    </fieldset>
  );
}

const same = (names: string[]): Choices => names.map((n) => [n, n] as const);
/** Sets a member of a member, which is made where there is none. */
const inside = (o: Json, key: string, name: string, v: unknown) => put((o[key] = { ...obj(o[key]) }) as Json, name, v);

function Organize({ options, set, names }: FormProps): JSX.Element {
  const exclude = obj(options['excludeByName']);
  const order = obj(options['indexByName']);
  const rename = obj(options['renameByName']);
  const sorted = names.map((n, i) => ({ n, at: num(order[n]) ?? 1000 + i })).sort((a, b) => a.at - b.at).map(({ n }) => n);
  const move = (i: number, by: number) => {
    const next = [...sorted];
    next.splice(i + by, 0, ...next.splice(i, 1));
    set((o) => (o['indexByName'] = { ...order, ...Object.fromEntries(next.map((n, k) => [n, k])) }));
  };
  return (
    <div className="g-organize">
      {sorted.map((n, i) => (
        <Fragment key={n}>
          <Check value={exclude[n] !== true} onChange={(on) => set((o) => inside(o, 'excludeByName', n, on ? undefined : true))}>
            {n}
          </Check>
          <Text label={`New name of ${n}`} placeholder={n} value={str(rename[n]) ?? ''} onCommit={(v) => set((o) => inside(o, 'renameByName', n, v))} />
          <span>
            <IconButton icon="up" kind="quiet" small label={`Move ${n} up`} disabled={i === 0} onClick={() => move(i, -1)} />
            <IconButton icon="down" kind="quiet" small label={`Move ${n} down`} disabled={i === sorted.length - 1} onClick={() => move(i, 1)} />
          </span>
        </Fragment>
      ))}
    </div>
  );
}

function KeepFields({ options, set, names }: FormProps): JSX.Element {
  const include = obj(options['include']);
  return (
    <>
      <Several label="Keep" value={arr(include['names']).map(String)} choices={same(names)} onChange={(v) => set((o) => inside(o, 'include', 'names', v))} />
      <Field label="and all that match">
        <Text value={str(include['pattern']) ?? ''} placeholder="/^(Time|p9.)$/" onCommit={(v) => set((o) => inside(o, 'include', 'pattern', v))} />
      </Field>
    </>
  );
}

function Join({ options, set, names }: FormProps): JSX.Element {
  return (
    <div className="g-three">
      <Field label="Field">
        <Select value={str(options['byField']) ?? 'Time'} choices={same(names)} onChange={(v) => set((o) => (o['byField'] = v))} />
      </Field>
      <Field label="Rows">
        <Select value={str(options['mode']) ?? 'outer'} choices={[['outer', 'Of any table'], ['inner', 'Of all tables']]} onChange={(v) => set((o) => (o['mode'] = v))} />
      </Field>
    </div>
  );
}

function Reduce({ options, set }: FormProps): JSX.Element {
  const rows = options['mode'] !== 'reduceFields';
  return (
    <>
      <div className="g-three">
        <Field label="Result">
          <Select value={rows ? 'seriesToRows' : 'reduceFields'} choices={[['seriesToRows', 'A row for each field'], ['reduceFields', 'One row, same fields']]} onChange={(v) => set((o) => (o['mode'] = v))} />
        </Field>
      </div>
      <Several label="Values" value={arr(options['reducers']).map(String)} choices={calcs} onChange={(v) => set((o) => (o['reducers'] = v))} />
      {rows && (
        <div className="row wrap">
          <Check value={options['labelsToFields'] === true} onChange={(v) => set((o) => (o['labelsToFields'] = v))}>
            A column for each label
          </Check>
          <Check value={options['includeTimeField'] === true} onChange={(v) => set((o) => (o['includeTimeField'] = v))}>
            The time, too
          </Check>
        </div>
      )}
    </>
  );
}

const modes: Choices = [['binary', 'Two fields or numbers'], ['reduceRow', 'All fields of a row'], ['unary', 'One field'], ['index', 'Number of the row']];
const unaries: Choices = [['abs', 'Without sign'], ['round', 'Rounded'], ['floor', 'Rounded down'], ['ceil', 'Rounded up'], ['ln', 'Logarithm'], ['exp', 'Power of e']];

function Calculate({ options, set, names }: FormProps): JSX.Element {
  const mode = str(options['mode']) ?? 'reduceRow';
  const binary = obj(options['binary']);
  const reduce = obj(options['reduce']);
  const unary = obj(options['unary']);
  // Newer files name a field by a matcher, older ones by its name.
  const operand = (side: string) => str(binary[side]) ?? str(obj(obj(binary[side])['matcher'])['options']) ?? str(obj(binary[side])['fixed']) ?? '';
  const setOperand = (side: string, v: string) => set((o) => inside(o, 'binary', side, typeof binary[side] === 'object' ? (names.includes(v) ? { matcher: { id: 'byName', options: v } } : { fixed: v }) : v));
  return (
    <>
      <div className="g-three">
        <Field label="From">
          <Select value={mode} choices={modes} onChange={(v) => set((o) => (o['mode'] = v))} />
        </Field>
        <Field label="Name of the new field">
          <Text value={str(options['alias']) ?? ''} onCommit={(v) => set((o) => put(o, 'alias', v))} />
        </Field>
      </div>
      {mode === 'binary' && (
        <div className="g-three">
          <Field label="Left">
            <Text value={operand('left')} choices={names} placeholder="field or number" onCommit={(v) => setOperand('left', v)} />
          </Field>
          <Field label="Operator">
            <Select value={str(binary['operator']) ?? '+'} choices={same(['+', '-', '*', '/', '%', '**'])} onChange={(v) => set((o) => inside(o, 'binary', 'operator', v))} />
          </Field>
          <Field label="Right">
            <Text value={operand('right')} choices={names} placeholder="field or number" onCommit={(v) => setOperand('right', v)} />
          </Field>
        </div>
      )}
      {mode === 'unary' && (
        <div className="g-three">
          <Field label="Operation">
            <Select value={str(unary['operator']) ?? 'abs'} choices={unaries} onChange={(v) => set((o) => inside(o, 'unary', 'operator', v))} />
          </Field>
          <Field label="Field">
            <Select value={str(unary['fieldName']) ?? ''} choices={same(names)} onChange={(v) => set((o) => inside(o, 'unary', 'fieldName', v))} />
          </Field>
        </div>
      )}
      {mode === 'reduceRow' && (
        <>
          <div className="g-three">
            <Field label="Value">
              <Select value={str(reduce['reducer']) ?? 'sum'} choices={calcs} onChange={(v) => set((o) => inside(o, 'reduce', 'reducer', v))} />
            </Field>
          </div>
          <Several label="Of these fields; of all numbers when none is chosen" value={arr(reduce['include']).map(String)} choices={same(names)} onChange={(v) => set((o) => inside(o, 'reduce', 'include', v))} />
        </>
      )}
      <Check value={options['replaceFields'] === true} onChange={(v) => set((o) => (o['replaceFields'] = v))}>
        Only the time and the new field
      </Check>
    </>
  );
}

function Sort({ options, set, names }: FormProps): JSX.Element {
  const first = obj(arr(options['sort'])[0]);
  const save = (key: string, v: unknown) => set((o) => (o['sort'] = [{ ...first, [key]: v }, ...arr(o['sort']).slice(1)]));
  return (
    <div className="g-three">
      <Field label="By">
        <Select value={str(first['field']) ?? ''} choices={same(names)} onChange={(v) => save('field', v)} />
      </Field>
      <Field label="Order">
        <Select value={first['desc'] === true ? 'desc' : 'asc'} choices={[['asc', 'Lowest first'], ['desc', 'Highest first']]} onChange={(v) => save('desc', v === 'desc')} />
      </Field>
    </div>
  );
}

function Limit({ options, set }: FormProps): JSX.Element {
  return (
    <div className="g-three">
      <Field label="Rows">
        <Text type="number" value={String(num(options['limitField']) ?? 10)} check={(v) => ((num(v) ?? 0) >= 1 ? undefined : 'One row at least.')} onCommit={(v) => set((o) => (o['limitField'] = num(v)))} />
      </Field>
    </div>
  );
}

const uses: Choices = [['', 'Leave out'], ['groupby', 'Group by'], ['aggregate', 'Calculate']];

function Group({ options, set, names }: FormProps): JSX.Element {
  const fields = obj(options['fields']);
  return (
    <div className="g-group">
      {names.map((n) => {
        const use = obj(fields[n]);
        const operation = str(use['operation']) ?? '';
        const save = (v: unknown) => set((o) => inside(o, 'fields', n, v));
        return (
          <Fragment key={n}>
            <Field label={n}>
              <Select value={operation} choices={uses} onChange={(v) => save(v ? { ...use, operation: v, aggregations: v === 'groupby' ? [] : ['lastNotNull'] } : undefined)} />
            </Field>
            {operation === 'aggregate' && <Several label={`Values of ${n}`} value={arr(use['aggregations']).map(String)} choices={calcs} onChange={(v) => save({ ...use, aggregations: v })} />}
          </Fragment>
        );
      })}
    </div>
  );
}
