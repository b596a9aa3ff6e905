/** Label chips: pick a label, then a value, and the query gets the matcher. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { labelNames, labelValues } from '@/core/api/prometheus';
import { selector } from '@/core/metrics/promql';
import { Icon } from '@/ui/icons';
import { Popover } from '@/ui/kit';

export function LabelChips({ metric, onPick }: { metric: string; onPick: (label: string, value: string) => void }): JSX.Element | null {
  const { range } = useTime();
  const minute = Math.floor(range.from / 60_000);
  const names = useQuery({
    queryKey: ['labels-of', metric, minute],
    queryFn: ({ signal }) => labelNames(selector(metric), range, signal),
    staleTime: 60_000,
    retry: false,
  });
  const list = (names.data ?? []).filter((n) => n !== '__name__' && n !== 'le');
  if (list.length === 0) return null;
  return (
    <div className="row wrap" style={{ gap: 5 }} aria-label="Filter by label" role="group">
      <span className="faint" style={{ fontSize: 11.5 }}>
        Filter
      </span>
      {list.slice(0, 14).map((l) => (
        <Chip key={l} metric={metric} label={l} onPick={onPick} />
      ))}
    </div>
  );
}

function Chip({ metric, label, onPick }: { metric: string; label: string; onPick: (label: string, value: string) => void }): JSX.Element {
  const [open, setOpen] = useState(false);
  const { range } = useTime();
  const values = useQuery({
    queryKey: ['values-of', metric, label, Math.floor(range.from / 60_000)],
    queryFn: ({ signal }) => labelValues(label, selector(metric), range, signal),
    enabled: open,
    staleTime: 60_000,
  });
  return (
    <Popover
      label={`Values of ${label}`}
      open={open}
      onOpenChange={setOpen}
      className="menu"
      trigger={
        <button type="button" className="chip">
          {label}
          <Icon name="down" size={11} />
        </button>
      }
    >
      {values.isPending && <div className="item faint">Loading…</div>}
      {(values.data ?? []).map((v) => (
        <button
          type="button"
          key={v}
          className="item mono"
          onClick={() => {
            setOpen(false);
            onPick(label, v);
          }}
        >
          {v || '(empty)'}
        </button>
      ))}
    </Popover>
  );
}
