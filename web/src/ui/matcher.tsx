/** One condition of a query form: a name, a comparison and a value with suggestions from the data. */
import { useQuery } from '@tanstack/react-query';
import { useId } from 'react';
import type { JSX } from 'react';
import { Button } from './kit';

export interface MatcherValue {
  label: string;
  op: string;
  value: string;
}

interface MatcherProps<T extends MatcherValue> {
  matcher: T;
  names: string[];
  ops: readonly string[];
  /** Suggestions for the value; `cacheKey` says what else they depend on. */
  values: (label: string, signal: AbortSignal) => Promise<string[]>;
  cacheKey: unknown[];
  /** `done` is false while the user types. */
  onChange: (m: T, done: boolean) => void;
  onRemove: () => void;
}

export function MatcherInput<T extends MatcherValue>({ matcher, names, ops, values, cacheKey, onChange, onRemove }: MatcherProps<T>): JSX.Element {
  const id = useId();
  const q = useQuery({
    queryKey: ['matcher-values', ...cacheKey, matcher.label],
    queryFn: ({ signal }) => values(matcher.label, signal),
    enabled: matcher.label !== '',
    staleTime: 60_000,
    retry: false,
    meta: { clock: false },
  });
  return (
    <span className="group matcher">
      <select className="select" aria-label="Label" value={matcher.label} onChange={(e) => onChange({ ...matcher, label: e.target.value, value: '' }, false)}>
        <option value="">label…</option>
        {[...new Set([...names, matcher.label].filter(Boolean))].map((n) => (
          <option key={n}>{n}</option>
        ))}
      </select>
      <select className="select" aria-label="Comparison" value={matcher.op} onChange={(e) => onChange({ ...matcher, op: e.target.value }, matcher.value !== '')}>
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
        onChange={(e) => onChange({ ...matcher, value: e.target.value }, q.data?.includes(e.target.value) ?? false)}
        onBlur={() => onChange(matcher, matcher.label !== '')}
        onKeyDown={(e) => e.key === 'Enter' && onChange(matcher, true)}
      />
      <datalist id={id}>
        {(q.data ?? []).slice(0, 200).map((v) => (
          <option key={v} value={v} />
        ))}
      </datalist>
      <Button icon="x" aria-label={`Remove the filter on ${matcher.label || 'nothing'}`} onClick={onRemove} />
    </span>
  );
}
