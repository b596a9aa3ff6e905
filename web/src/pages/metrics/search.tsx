/** Finding a metric: the names come from the server as the user types, never all at once. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { metadata, metricNames } from '@/core/api/prometheus';
import { toMetrics } from '@/core/metrics/promql';
import type { Metric } from '@/core/metrics/promql';
import { Icon } from '@/ui/icons';

const none: string[] = [];

export function useMetricList(search: string, limit: number, enabled = true, matchers = ''): { metrics: Metric[]; names: string[]; loading: boolean; error: unknown } {
  const { range } = useTime();
  // Whole minutes: the list need not follow every refresh.
  const from = Math.floor(range.from / 60_000) * 60_000;
  const to = Math.ceil(range.to / 60_000) * 60_000;
  const names = useQuery({
    queryKey: ['metric-names', search, from, to, limit, matchers],
    queryFn: ({ signal }) => metricNames(search, { from, to }, limit, signal, matchers),
    enabled,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
  const meta = useQuery({ queryKey: ['metadata'], queryFn: ({ signal }) => metadata(signal), enabled, staleTime: 60_000, retry: false });
  const metrics = useMemo(() => toMetrics(names.data ?? [], meta.data ?? new Map()), [names.data, meta.data]);
  return { metrics, names: names.data ?? none, loading: names.isPending, error: names.error };
}

export function MetricSearch({ onChoose }: { onChoose: (m: Metric) => void }): JSX.Element {
  const [text, setText] = useState('');
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const { metrics, loading } = useMetricList(text, 150, open);
  const choose = (m: Metric | undefined) => {
    if (!m) return;
    setOpen(false);
    setText('');
    input.current?.blur();
    onChoose(m);
  };
  return (
    <div className="metric-search" onBlur={(e) => !e.currentTarget.contains(e.relatedTarget) && setOpen(false)}>
      <Icon name="search" />
      <input
        ref={input}
        className="input"
        role="combobox"
        aria-expanded={open}
        aria-controls="metric-list"
        aria-autocomplete="list"
        aria-activedescendant={open && metrics[at] ? `metric-${at}` : undefined}
        aria-label="Find a metric"
        placeholder="Find a metric: name or part of it"
        value={text}
        onFocus={() => setOpen(true)}
        onChange={(e) => {
          setText(e.target.value);
          setOpen(true);
          setAt(0);
        }}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown') setAt((i) => Math.min(metrics.length - 1, i + 1));
          else if (e.key === 'ArrowUp') setAt((i) => Math.max(0, i - 1));
          else if (e.key === 'Enter') choose(metrics[at]);
          else if (e.key === 'Escape') input.current?.blur();
          else return;
          e.preventDefault();
        }}
      />
      {open && (
        <div className="pop metric-list" id="metric-list" role="listbox" aria-label="Metrics">
          {metrics.map((m, i) => (
            <div
              key={m.name}
              id={`metric-${i}`}
              role="option"
              aria-selected={i === at}
              className="item"
              ref={(el) => {
                if (i === at) el?.scrollIntoView({ block: 'nearest' });
              }}
              onMouseDown={(e) => e.preventDefault()}
              onClick={() => choose(m)}
            >
              <span className="mono clip name">{m.name}</span>
              <span className="tag">{m.type}</span>
              {m.unit && <span className="faint">{m.unit}</span>}
              <span className="clip faint help">{m.help}</span>
            </div>
          ))}
          {metrics.length === 0 && <div className="state">{loading ? 'Searching…' : text ? `No metric name contains “${text}” in this time range.` : 'No metrics in this time range.'}</div>}
        </div>
      )}
    </div>
  );
}
