/** The query form of the logs page. */
import { useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { lokiLabels, lokiLabelValues } from '@/core/api/loki';
import { fieldOps, formatLogForm, lineOps, selectorOps } from '@/core/logs/builder';
import type { LogForm } from '@/core/logs/builder';
import { Button, IconButton, Step } from '@/ui/kit';
import { useHalfFilled } from '@/ui/half-filled';
import { MatcherInput } from '@/ui/matcher';

interface BuilderProps {
  form: LogForm;
  /** Names of fields that lines on the page have. */
  fields: { name: string; values: string[] }[];
  onChange: (f: LogForm) => void;
  onRun: (f: LogForm) => void;
}

export function LogBuilder({ form: given, fields, onChange: onText, onRun: onDone }: BuilderProps): JSX.Element {
  const { form, onChange, onRun } = useHalfFilled(given, formatLogForm, onText, onDone);
  const { range } = useTime();
  const minute = Math.floor(range.from / 60_000);
  const labels = useQuery({ queryKey: ['loki-labels', minute], queryFn: ({ signal }) => lokiLabels(range, signal), staleTime: 60_000, retry: false });
  const put = (f: LogForm, done: boolean) => (done ? onRun(f) : onChange(f));
  const swap = <T,>(list: T[], i: number, v: T) => list.map((x, k) => (k === i ? v : x));
  const drop = <T,>(list: T[], i: number) => list.filter((_, k) => k !== i);
  return (
    <div className="qbuilder" role="group" aria-label="Query form" data-testid="builder">
      <Step title="Streams">
        {form.matchers.map((m, i) => (
          <MatcherInput
            key={i}
            matcher={m}
            names={labels.data ?? []}
            ops={selectorOps}
            values={(label, signal) => lokiLabelValues(label, range, undefined, signal)}
            cacheKey={['loki', minute]}
            onChange={(next, done) => put({ ...form, matchers: swap(form.matchers, i, next) }, done)}
            onRemove={() => put({ ...form, matchers: drop(form.matchers, i) }, form.matchers.length > 1)}
          />
        ))}
        <IconButton icon="plus" label="Add a label filter" onClick={() => onChange({ ...form, matchers: [...form.matchers, { label: '', op: '=', value: '' }] })} />
      </Step>
      <Step title="Lines">
        {form.lines.map((l, i) => (
          <span key={i} className="group matcher">
            <select className="select" aria-label="How lines match" value={l.op} onChange={(e) => put({ ...form, lines: swap(form.lines, i, { ...l, op: e.target.value }) }, l.text !== '')}>
              {lineOps.map((o) => (
                <option key={o.op} value={o.op}>
                  {o.label}
                </option>
              ))}
            </select>
            <input className="input mono" style={{ width: 170 }} aria-label="Text in the line" value={l.text} onChange={(e) => onChange({ ...form, lines: swap(form.lines, i, { ...l, text: e.target.value }) })} onBlur={() => onRun(form)} onKeyDown={(e) => e.key === 'Enter' && onRun(form)} />
            <Button icon="x" aria-label="Remove the line filter" onClick={() => onRun({ ...form, lines: drop(form.lines, i) })} />
          </span>
        ))}
        <IconButton icon="plus" label="Add a line filter" onClick={() => onChange({ ...form, lines: [...form.lines, { op: '|=', text: '' }] })} />
      </Step>
      <Step title="Read as">
        <select className="select" aria-label="Parser" value={form.parser} onChange={(e) => onRun({ ...form, parser: e.target.value as LogForm['parser'] })}>
          <option value="">text</option>
          <option value="json">JSON</option>
          <option value="logfmt">logfmt</option>
        </select>
      </Step>
      <Step title="Fields">
        {form.fields.map((m, i) => (
          <MatcherInput
            key={i}
            matcher={m}
            names={fields.map((f) => f.name)}
            ops={fieldOps}
            values={async (label) => fields.find((f) => f.name === label)?.values ?? []}
            cacheKey={['log-fields', fields.length]}
            onChange={(next, done) => put({ ...form, fields: swap(form.fields, i, next) }, done)}
            onRemove={() => onRun({ ...form, fields: drop(form.fields, i) })}
          />
        ))}
        <IconButton icon="plus" label="Add a field filter" onClick={() => onChange({ ...form, fields: [...form.fields, { label: '', op: '=', value: '' }] })} />
      </Step>
      <code className="preview" aria-label="The query">
        {formatLogForm(form)}
      </code>
    </div>
  );
}
