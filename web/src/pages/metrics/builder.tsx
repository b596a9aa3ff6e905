/** The query form: select, function, aggregation. It writes the PromQL it stands for below itself. */
import { useQuery } from '@tanstack/react-query';
import { useId, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { labelNames, labelValues } from '@/core/api/prometheus';
import { aggregations, formatPromForm, rangeFunctions } from '@/core/metrics/builder';
import type { MatchOp, PromForm } from '@/core/metrics/builder';
import { selector } from '@/core/metrics/promql';
import { useHalfFilled } from '@/ui/half-filled';
import { Button, IconButton, Popover, Step } from '@/ui/kit';
import { MatcherInput } from '@/ui/matcher';
import { useMetricList } from './search';

const windows = ['$__rate_interval', '1m', '5m', '15m', '1h', '1d'];
const ops: MatchOp[] = ['=', '!=', '=~', '!~'];
const quantiles = ['0.5', '0.9', '0.95', '0.99', '0.999'];

export function PromBuilder({ form: given, onChange: onText, onRun: onDone }: { form: PromForm; onChange: (f: PromForm) => void; onRun: (f: PromForm) => void }): JSX.Element {
  const { form, onChange, onRun } = useHalfFilled(given, formatPromForm, onText, onDone);
  const { range } = useTime();
  const labels = useQuery({
    queryKey: ['labels-of', form.metric, Math.floor(range.from / 60_000)],
    queryFn: ({ signal }) => labelNames(form.metric ? selector(form.metric) : undefined, range, signal),
    staleTime: 60_000,
    retry: false,
  });
  const names = (labels.data ?? []).filter((l) => l !== '__name__');
  const apply = (patch: Partial<PromForm>) => onRun({ ...form, ...patch });
  const bucket = form.metric.endsWith('_bucket');
  return (
    <div className="qbuilder" role="group" aria-label="Query form" data-testid="builder">
      <Step title="Metric">
        <MetricInput value={form.metric} onChange={(metric) => apply(metric.endsWith('_bucket') ? { metric, fn: 'rate', quantile: form.quantile || '0.95', agg: 'sum' } : { metric, quantile: '', fn: metric.endsWith('_total') ? 'rate' : form.quantile ? '' : form.fn, agg: metric.endsWith('_total') ? 'sum' : form.quantile ? '' : form.agg })} />
      </Step>
      <Step title="Where">
        {form.matchers.map((m, i) => (
          <MatcherInput
            key={i}
            matcher={m}
            names={names}
            ops={ops}
            values={(label, signal) => labelValues(label, form.metric ? selector(form.metric) : undefined, range, signal)}
            cacheKey={['prom', form.metric, Math.floor(range.from / 60_000)]}
            onChange={(next, done) => {
              const f = { ...form, matchers: form.matchers.map((x, k) => (k === i ? { ...next, op: next.op as MatchOp } : x)) };
              if (done) onRun(f);
              else onChange(f);
            }}
            onRemove={() => apply({ matchers: form.matchers.filter((_, k) => k !== i) })}
          />
        ))}
        <IconButton small icon="plus" label="Add a label filter" onClick={() => onChange({ ...form, matchers: [...form.matchers, { label: '', op: '=', value: '' }] })} />
      </Step>
      <Step title="Function">
        <select className="select" aria-label="Function" value={form.fn} onChange={(e) => apply({ fn: e.target.value })}>
          <option value="">none</option>
          {rangeFunctions.map((f) => (
            <option key={f}>{f}</option>
          ))}
        </select>
        {form.fn && (
          <select className="select" aria-label="Window" value={form.window} onChange={(e) => apply({ window: e.target.value })}>
            {[...new Set([...windows, form.window])].map((w) => (
              <option key={w} value={w}>
                {w === '$__rate_interval' ? 'auto' : w}
              </option>
            ))}
          </select>
        )}
      </Step>
      <Step title="Aggregate">
        {bucket ? (
          <select className="select" aria-label="Quantile" value={form.quantile} onChange={(e) => apply({ quantile: e.target.value, agg: 'sum' })}>
            <option value="">sum</option>
            {[...new Set([...quantiles, form.quantile].filter(Boolean))].map((v) => (
              <option key={v} value={v}>
                p{Number(v) * 100}
              </option>
            ))}
          </select>
        ) : (
          <select className="select" aria-label="Aggregation" value={form.agg} onChange={(e) => apply({ agg: e.target.value })}>
            <option value="">none</option>
            {aggregations.map((a) => (
              <option key={a}>{a}</option>
            ))}
          </select>
        )}
        {/^(topk|bottomk)$/.test(form.agg) && <input className="input" style={{ width: 52 }} inputMode="numeric" aria-label="How many" value={form.k} onChange={(e) => /^\d*$/.test(e.target.value) && onChange({ ...form, k: e.target.value })} onBlur={() => onRun(form)} />}
        {(form.agg || form.quantile) && (
          <>
            <span className="faint">by</span>
            {form.by.map((l) => (
              <span key={l} className="chip">
                <b>{l}</b>
                <button type="button" aria-label={`Not by ${l}`} onClick={() => apply({ by: form.by.filter((x) => x !== l) })}>
                  ×
                </button>
              </span>
            ))}
            <LabelPicker label="Add a label to group by" names={names.filter((n) => n !== 'le' && !form.by.includes(n))} onPick={(l) => apply({ by: [...form.by, l] })} />
          </>
        )}
      </Step>
      <code className="preview" aria-label="The query">
        {formatPromForm(form) || ' '}
      </code>
    </div>
  );
}

function LabelPicker({ label, names, onPick }: { label: string; names: string[]; onPick: (l: string) => void }): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <Popover label={label} open={open} onOpenChange={setOpen} className="menu" trigger={<Button small icon="plus" aria-label={label} />}>
      {names.map((n) => (
        <button
          type="button"
          key={n}
          className="item mono"
          onClick={() => {
            setOpen(false);
            onPick(n);
          }}
        >
          {n}
        </button>
      ))}
      {names.length === 0 && <div className="item faint">No more labels</div>}
    </Popover>
  );
}

function MetricInput({ value, onChange }: { value: string; onChange: (v: string) => void }): JSX.Element {
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  if (seen !== value) {
    setSeen(value);
    setText(value);
  }
  const [focus, setFocus] = useState(false);
  const id = useId();
  const { names } = useMetricList(text, 100, focus);
  const done = () => text !== value && onChange(text.trim());
  return (
    <>
      <input className="input mono" style={{ width: 340 }} list={id} aria-label="Metric" placeholder="metric name" value={text} onFocus={() => setFocus(true)} onBlur={done} onKeyDown={(e) => e.key === 'Enter' && done()} onChange={(e) => setText(e.target.value)} />
      <datalist id={id}>
        {names.map((n) => (
          <option key={n} value={n} />
        ))}
      </datalist>
    </>
  );
}
