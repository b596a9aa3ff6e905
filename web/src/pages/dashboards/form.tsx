/** The parts that the forms of dashboards, variables, annotations and panels are made of. */
import { useId, useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { num } from '@/grafana/model';
import type { Json, Link, MapResult, Mapping, Thresholds } from '@/grafana/model';
import { cssColor } from '@/grafana/color';
import { unitChoices } from '@/grafana/units';
import { Button, IconButton } from '@/ui/kit';

export function Field({ label, hint, children }: { label: string; hint?: string; children: ReactNode }): JSX.Element {
  const field = (
    <label className="g-field">
      <span>{label}</span>
      {children}
    </label>
  );
  if (!hint) return field;
  return (
    <div className="g-hinted">
      {field}
      <small className="muted">{hint}</small>
    </div>
  );
}

interface TextProps {
  value: string;
  onCommit: (v: string) => void;
  label?: string;
  placeholder?: string;
  /** Values that are offered. */
  choices?: readonly string[];
  type?: string;
  /** Says what is wrong with a value, which is then not taken. */
  check?: (v: string) => string | undefined;
  lines?: number;
}

/** A text field that reports once the user is done with it. */
export function Text({ value, onCommit, label, placeholder, choices, type, check, lines }: TextProps): JSX.Element {
  const [text, setText] = useState(value);
  const [base, setBase] = useState(value);
  const list = useId();
  if (base !== value) {
    setBase(value);
    setText(value);
  }
  const wrong = text === value ? undefined : check?.(text);
  const commit = () => text !== value && !wrong && onCommit(text);
  const shared = { className: lines ? 'input g-lines' : 'input', 'aria-label': label, 'aria-invalid': wrong ? true : undefined, 'aria-describedby': wrong ? `${list}wrong` : undefined, placeholder, value: text, onBlur: commit, spellCheck: false } as const;
  return (
    <>
      {lines ? (
        <textarea {...shared} rows={lines} onChange={(e) => setText(e.target.value)} />
      ) : (
        <input {...shared} type={type ?? 'text'} list={choices ? list : undefined} onChange={(e) => setText(e.target.value)} onKeyDown={(e) => e.key === 'Enter' && commit()} />
      )}
      {choices && (
        <datalist id={list}>
          {choices.map((c) => (
            <option key={c} value={c} />
          ))}
        </datalist>
      )}
      {wrong && (
        <small className="g-wrong" id={`${list}wrong`} aria-hidden="true">
          {wrong}
        </small>
      )}
    </>
  );
}

/** Sets a member of an object; nothing and an empty text remove it. */
export function put(o: Json, key: string, v: unknown): void {
  if (v === undefined || v === '') delete o[key];
  else o[key] = v;
}

export type Choices = readonly (readonly [value: string, name: string])[];

export function Select({ value, choices, onChange, label }: { value: string; choices: Choices; onChange: (v: string) => void; label?: string }): JSX.Element {
  return (
    <select className="select" aria-label={label} value={value} onChange={(e) => onChange(e.target.value)}>
      {!choices.some(([v]) => v === value) && <option value={value}>{value || '–'}</option>}
      {choices.map(([v, name]) => (
        <option key={v} value={v}>
          {name}
        </option>
      ))}
    </select>
  );
}

export function Check({ value, onChange, children }: { value: boolean; onChange: (v: boolean) => void; children: ReactNode }): JSX.Element {
  return (
    <label className="row g-tick">
      <input type="checkbox" checked={value} onChange={(e) => onChange(e.target.checked)} /> {children}
    </label>
  );
}

export function UnitText({ value, onCommit, label }: { value: string; onCommit: (v: string) => void; label?: string }): JSX.Element {
  return <Text value={value} placeholder="none" choices={unitChoices} onCommit={onCommit} {...(label ? { label } : {})} />;
}

const shades = ['super-light-', 'light-', '', 'semi-dark-', 'dark-'];
const colors = ['green', 'yellow', 'orange', 'red', 'blue', 'purple'].flatMap((c) => shades.map((s) => s + c)).concat('text', 'transparent');

export function ColorText({ value, onCommit, label }: { value: string; onCommit: (v: string) => void; label: string }): JSX.Element {
  return (
    <span className="row g-color">
      <i style={{ background: cssColor(value) }} aria-hidden="true" />
      <Text value={value} label={label} placeholder="red or #e5534d" choices={colors} onCommit={onCommit} />
    </span>
  );
}

/** A list of things, each on a line with a button that removes it. */
function Lines<T>({ list, what, onChange, fresh, children }: { list: T[]; what: string; onChange: (list: T[]) => void; fresh: () => T; children: (x: T, put: (x: T) => void, n: number) => ReactNode }): JSX.Element {
  return (
    <>
      {list.map((x, i) => (
        <div key={i} className="row g-line">
          {children(x, (y) => onChange(list.map((o, k) => (k === i ? y : o))), i + 1)}
          <IconButton icon="x" kind="quiet" small label={`Remove ${what} ${i + 1}`} onClick={() => onChange(list.filter((_, k) => k !== i))} />
        </div>
      ))}
      <Button small icon="plus" onClick={() => onChange([...list, fresh()])}>
        Add {what}
      </Button>
    </>
  );
}

export function LinksForm({ links, onChange, options }: { links: Link[]; onChange: (json: Json[]) => void; options?: string }): JSX.Element {
  return (
    <Lines list={links} what="link" fresh={() => ({ title: 'Logs', url: options ?? '/d/logs?var-service=${__field.labels.service_name}&${__url_time_range}', newTab: false })} onChange={(list) => onChange(list.map((l) => ({ title: l.title, url: l.url, targetBlank: l.newTab })))}>
      {(l, set, n) => (
        <>
          <Text label={`Title of link ${n}`} placeholder="Title" value={l.title} onCommit={(title) => set({ ...l, title })} />
          <Text label={`Address of link ${n}`} placeholder="/logs?q=…${__field.labels.service_name}" value={l.url} onCommit={(url) => set({ ...l, url })} />
          <Check value={l.newTab} onChange={(newTab) => set({ ...l, newTab })}>
            New tab
          </Check>
        </>
      )}
    </Lines>
  );
}

export function ThresholdsForm({ value, onChange }: { value: Thresholds | undefined; onChange: (json: Json) => void }): JSX.Element {
  const steps = value?.steps ?? [];
  const save = (list: Thresholds['steps'], mode = value?.mode ?? 'absolute') => onChange({ mode, steps: list.map((s) => ({ color: s.color, value: Number.isFinite(s.value) ? s.value : null })) });
  const last = steps[steps.length - 1];
  return (
    <>
      {steps.map((s, i) => (
        <div key={i} className="row g-line">
          <ColorText label={`Colour of threshold ${i + 1}`} value={s.color} onCommit={(color) => save(steps.map((x, k) => (k === i ? { ...x, color } : x)))} />
          {Number.isFinite(s.value) ? (
            <>
              <Text type="number" label={`Threshold ${i + 1}`} value={String(s.value)} onCommit={(v) => save(steps.map((x, k) => (k === i ? { ...x, value: num(v) ?? x.value } : x)))} />
              <IconButton icon="x" kind="quiet" small label={`Remove threshold ${i + 1}`} onClick={() => save(steps.filter((_, k) => k !== i))} />
            </>
          ) : (
            <span className="muted grow">base</span>
          )}
        </div>
      ))}
      <div className="row">
        <Button small icon="plus" onClick={() => save(last ? [...steps, { value: (Number.isFinite(last.value) ? last.value : 0) + 10, color: 'red' }] : [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }])}>
          Add threshold
        </Button>
        {last && (
          <Check value={value?.mode === 'percentage'} onChange={(p) => save(steps, p ? 'percentage' : 'absolute')}>
            Percent of min to max
          </Check>
        )}
      </div>
    </>
  );
}

type Kind = Mapping['type'];

/** A mapping of one value, as the form shows it: Grafana keeps all single values in one object. */
interface Row {
  kind: Kind;
  /** The value, pattern or special match; the lower end of a range. */
  of: string;
  to: string;
  result: MapResult;
}

const rowsOf = (list: Mapping[]): Row[] =>
  list.flatMap((m): Row[] => {
    switch (m.type) {
      case 'value':
        return Object.entries(m.options).map(([of, result]) => ({ kind: 'value', of, to: '', result }));
      case 'range':
        return [{ kind: 'range', of: Number.isFinite(m.from) ? String(m.from) : '', to: Number.isFinite(m.to) ? String(m.to) : '', result: m.result }];
      case 'regex':
        return [{ kind: 'regex', of: m.pattern, to: '', result: m.result }];
      case 'special':
        return [{ kind: 'special', of: m.match, to: '', result: m.result }];
    }
  });

export function mappingsJSON(rows: Row[]): Json[] {
  const out: Json[] = [];
  rows.forEach((r, index) => {
    const result = { ...r.result, index };
    switch (r.kind) {
      case 'value': {
        const last = out[out.length - 1];
        if (last?.['type'] === 'value') (last['options'] as Json)[r.of] = result;
        else out.push({ type: 'value', options: { [r.of]: result } });
        break;
      }
      case 'range':
        out.push({ type: 'range', options: { from: num(r.of) ?? null, to: num(r.to) ?? null, result } });
        break;
      case 'regex':
        out.push({ type: 'regex', options: { pattern: r.of, result } });
        break;
      case 'special':
        out.push({ type: 'special', options: { match: r.of, result } });
    }
  });
  return out;
}

const kinds: Choices = [['value', 'Value'], ['range', 'Range'], ['regex', 'Regex'], ['special', 'Special']];
const specials: Choices = [['null', 'null'], ['nan', 'NaN'], ['null+nan', 'null or NaN'], ['true', 'true'], ['false', 'false'], ['empty', 'empty text']];

/** Which values are shown as which text and colour. */
export function MappingsForm({ value, onChange }: { value: Mapping[]; onChange: (json: Json[]) => void }): JSX.Element {
  return (
    <Lines list={rowsOf(value)} what="mapping" fresh={(): Row => ({ kind: 'value', of: '0', to: '', result: { text: 'Down', color: 'red' } })} onChange={(rows) => onChange(mappingsJSON(rows))}>
      {(r, set, n) => (
        <div className="g-mapping">
          <Select label={`Kind of mapping ${n}`} value={r.kind} choices={kinds} onChange={(k) => set({ ...r, kind: k as Kind, of: k === 'special' ? 'null' : r.kind === 'special' ? '' : r.of })} />
          {r.kind === 'special' ? (
            <Select label={`Match of mapping ${n}`} value={r.of} choices={specials} onChange={(of) => set({ ...r, of })} />
          ) : (
            <Text label={r.kind === 'range' ? `From of mapping ${n}` : `Match of mapping ${n}`} placeholder={r.kind === 'range' ? 'from' : r.kind === 'regex' ? '^(.*)\\.local$' : 'value'} value={r.of} onCommit={(of) => set({ ...r, of })} />
          )}
          {r.kind === 'range' && <Text label={`To of mapping ${n}`} placeholder="to" value={r.to} onCommit={(to) => set({ ...r, to })} />}
          <Text label={`Text of mapping ${n}`} placeholder="text" value={r.result.text ?? ''} onCommit={(text) => set({ ...r, result: { ...r.result, text } })} />
          <ColorText label={`Colour of mapping ${n}`} value={r.result.color ?? ''} onCommit={(color) => set({ ...r, result: { ...(r.result.text !== undefined ? { text: r.result.text } : {}), ...(color ? { color } : {}) } })} />
        </div>
      )}
    </Lines>
  );
}
