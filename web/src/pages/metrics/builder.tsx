/** The query form: select, function, aggregation. It writes the PromQL it stands for below itself. */
import { useQuery } from '@tanstack/react-query';
import { useId, useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { useTime } from '@/app/time';
import { labelNames, labelValues } from '@/core/api/prometheus';
import { aggregations, formatPromForm, rangeFunctions } from '@/core/metrics/builder';
import type { Matcher, MatchOp, PromForm } from '@/core/metrics/builder';
import { selector } from '@/core/metrics/promql';
import { Button, IconButton, Popover } from '@/ui/kit';
import { useMetricList } from './search';

const windows = ['$__rate_interval', '1m', '5m', '15m', '1h', '1d'];
const quantiles = ['0.5', '0.9', '0.95', '0.99', '0.999'];

export function PromBuilder({ form, onChange, onRun }: { form: PromForm; onChange: (f: PromForm) => void; onRun: (f: PromForm) => void }): JSX.Element {
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
            metric={form.metric}
            names={names}
            onChange={(next, done) => {
              const f = { ...form, matchers: form.matchers.map((x, k) => (k === i ? next : x)) };
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

export function Step({ title, children }: { title: string; children: ReactNode }): JSX.Element {
  return (
    <div className="qstep">
      <span className="qlabel">{title}</span>
      <div className="row wrap">{children}</div>
    </div>
  );
}

export function LabelPicker({ label, names, onPick }: { label: string; names: string[]; onPick: (l: string) => void }): JSX.Element {
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

const ops: MatchOp[] = ['=', '!=', '=~', '!~'];

function MatcherInput({ matcher, metric, names, onChange, onRemove }: { matcher: Matcher; metric: string; names: string[]; onChange: (m: Matcher, done: boolean) => void; onRemove: () => void }): JSX.Element {
  const { range } = useTime();
  const id = useId();
  const values = useQuery({
    queryKey: ['values-of', metric, matcher.label, Math.floor(range.from / 60_000)],
    queryFn: ({ signal }) => labelValues(matcher.label, metric ? selector(metric) : undefined, range, signal),
    enabled: matcher.label !== '',
    staleTime: 60_000,
    retry: false,
  });
  return (
    <span className="group matcher">
      <select className="select" aria-label="Label" value={matcher.label} onChange={(e) => onChange({ ...matcher, label: e.target.value, value: '' }, false)}>
        <option value="">label…</option>
        {[...new Set([...names, matcher.label].filter(Boolean))].map((n) => (
          <option key={n}>{n}</option>
        ))}
      </select>
      <select className="select" aria-label="Comparison" value={matcher.op} onChange={(e) => onChange({ ...matcher, op: e.target.value as MatchOp }, matcher.value !== '')}>
        {ops.map((o) => (
          <option key={o}>{o}</option>
        ))}
      </select>
      <input
        className="input mono"
        style={{ width: 150 }}
        list={id}
        aria-label="Value"
        value={matcher.value}
        onChange={(e) => onChange({ ...matcher, value: e.target.value }, values.data?.includes(e.target.value) ?? false)}
        onBlur={() => onChange(matcher, matcher.label !== '')}
        onKeyDown={(e) => e.key === 'Enter' && onChange(matcher, true)}
      />
      <datalist id={id}>
        {(values.data ?? []).slice(0, 200).map((v) => (
          <option key={v} value={v} />
        ))}
      </datalist>
      <Button icon="x" aria-label={`Remove the filter on ${matcher.label || 'nothing'}`} onClick={onRemove} />
    </span>
  );
}
