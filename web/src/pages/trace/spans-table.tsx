/** All spans as a table, for sorting by duration or self time. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { serviceColor } from '@/core/palette/palette';
import { kindName } from '@/core/trace/otlp';
import type { TraceTree } from '@/core/trace/tree';
import { seconds } from '@/core/units/units';
import { Icon } from '@/ui/icons';

type Key = 'service' | 'name' | 'start' | 'duration' | 'self';

export function SpansTable({ tree: t, matches, selected, onSelect }: { tree: TraceTree; matches: ReadonlySet<number>; selected: number; onSelect: (row: number) => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [sort, setSort] = useState<{ key: Key; up: boolean }>({ key: 'duration', up: false });
  const rows = useMemo(() => {
    const all = Array.from({ length: t.size }, (_, i) => i).filter((r) => matches.size === 0 || matches.has(r));
    const dir = sort.up ? 1 : -1;
    const by: Record<Key, (a: number, b: number) => number> = {
      service: (a, b) => t.services[t.service[a]!]!.localeCompare(t.services[t.service[b]!]!),
      name: (a, b) => t.name[a]!.localeCompare(t.name[b]!),
      start: (a, b) => t.start[a]! - t.start[b]!,
      duration: (a, b) => t.duration[a]! - t.duration[b]!,
      self: (a, b) => t.self[a]! - t.self[b]!,
    };
    return all.sort((a, b) => dir * by[sort.key](a, b));
  }, [t, matches, sort]);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => box.current, estimateSize: () => 28, overscan: 10 });
  const header = (key: Key, label: string, right = false) => (
    <span className={right ? 'r' : ''}>
      <button type="button" onClick={() => setSort((o) => ({ key, up: o.key === key ? !o.up : key === 'service' || key === 'name' }))}>
        {label}
        {sort.key === key && <Icon name={sort.up ? 'up' : 'down'} size={11} />}
      </button>
    </span>
  );
  return (
    <div className="spanstable" data-testid="spans-table">
      <div className="st-row st-head">
        {header('service', 'Service')}
        {header('name', 'Operation')}
        <span>Kind</span>
        {header('start', 'Start', true)}
        {header('duration', 'Duration', true)}
        {header('self', 'Self time', true)}
        <span>Status</span>
      </div>
      <div className="st-body" ref={box} tabIndex={0} role="region" aria-label="Spans">
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {virtual.getVirtualItems().map((v) => {
            const r = rows[v.index]!;
            const service = t.services[t.service[r]!]!;
            return (
              <div key={r} className="st-row" data-selected={r === selected || undefined} style={{ position: 'absolute', left: 0, right: 0, transform: `translateY(${v.start}px)` }} onClick={() => onSelect(r)}>
                <span className="row" style={{ gap: 7 }}>
                  <i className="svcbar" style={{ background: `var(--s${serviceColor(service)})` }} />
                  <span className="clip">{service}</span>
                </span>
                <button type="button" className="opname clip">
                  {t.name[r]}
                </button>
                <span className="muted">{kindName(t.span[r]!.kind)}</span>
                <span className="r num muted">+{seconds(t.start[r]! / 1000)}</span>
                <span className="r num">{seconds(t.duration[r]! / 1000)}</span>
                <span className="r num">{seconds(t.self[r]! / 1000)}</span>
                <span>{t.error[r] ? <span className="tag" data-s="bad">failed</span> : ''}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
