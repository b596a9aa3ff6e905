/** The lines: virtual rows, one DOM row for each line on the screen. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useEffect, useMemo, useRef } from 'react';
import type { JSX, ReactNode, RefObject } from 'react';
import { fieldValue, serviceOf } from '@/core/logs/rows';
import type { LogRow } from '@/core/logs/rows';
import { formatTime } from '@/core/time/range';
import { Line } from './line';

export interface ListProps {
  rows: readonly LogRow[];
  columns: string[];
  wrap: boolean;
  json: boolean;
  selected: string | undefined;
  onSelect: (row: LogRow) => void;
  /** Live: stay at the newest line at the bottom. */
  follow?: boolean;
  onScrolledUp?: () => void;
  footer?: ReactNode;
  scrollRef?: RefObject<HTMLDivElement | null>;
}

export function LogList({ rows, columns, wrap, json, selected, onSelect, follow, onScrolledUp, footer, scrollRef }: ListProps): JSX.Element {
  const own = useRef<HTMLDivElement>(null);
  const box = scrollRef ?? own;
  const dynamic = wrap || json;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => 22,
    overscan: 12,
    getItemKey: (i) => rows[i]?.id ?? i,
  });
  const manyServices = useMemo(() => {
    const first = rows[0] && serviceOf(rows[0].entry);
    return rows.some((r) => serviceOf(r.entry) !== first);
  }, [rows]);

  // Sizes measured in one mode are wrong in the other.
  useEffect(() => virtual.measure(), [dynamic, virtual]);

  useEffect(() => {
    if (follow && rows.length > 0) virtual.scrollToIndex(rows.length - 1, { align: 'end' });
  }, [follow, rows, virtual]);

  useEffect(() => {
    const i = selected ? rows.findIndex((r) => r.id === selected) : -1;
    if (i >= 0) virtual.scrollToIndex(i, { align: 'auto' });
    // Only a new selection scrolls, not new rows.
  }, [selected]);

  const last = useRef(0);
  return (
    <div
      className="loglist"
      ref={box}
      tabIndex={0}
      role="region"
      aria-label="Log lines"
      data-testid="log-list"
      onWheel={(e) => e.deltaY < 0 && onScrolledUp?.()}
      onScroll={(e) => {
        const el = e.currentTarget;
        if (el.scrollTop < last.current - 60 && el.scrollHeight - el.scrollTop - el.clientHeight > 80) onScrolledUp?.();
        last.current = el.scrollTop;
      }}
    >
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map((v) => {
          const row = rows[v.index]!;
          return (
            <div
              key={v.key}
              ref={dynamic ? virtual.measureElement : undefined}
              data-index={v.index}
              className="logrow"
              data-wrap={dynamic || undefined}
              data-level={row.level}
              data-selected={row.id === selected || undefined}
              style={{ transform: `translateY(${v.start}px)`, ...(dynamic ? {} : { height: 22 }) }}
              onClick={() => {
                // A drag that selects text is not a click.
                if (window.getSelection()?.isCollapsed !== false) onSelect(row);
              }}
            >
              <Row row={row} columns={columns} json={json} service={manyServices} />
            </div>
          );
        })}
      </div>
      {footer}
    </div>
  );
}

const short: Record<string, string> = { critical: 'crit', error: 'error', warn: 'warn', info: 'info', debug: 'debug', trace: 'trace', unknown: '' };

const Row = memo(function Row({ row, columns, json, service }: { row: LogRow; columns: string[]; json: boolean; service: boolean }): JSX.Element {
  return (
    <>
      <span className="t">{formatTime(row.time, { ms: true, date: false })}</span>
      <span className="lv">{short[row.level]}</span>
      {service && !columns.includes('service_name') && <span className="svc clip">{serviceOf(row.entry)}</span>}
      {columns.map((c) => (
        <span key={c} className="col clip" title={fieldValue(row.entry, c)}>
          {fieldValue(row.entry, c) ?? ''}
        </span>
      ))}
      <span className="line">{json ? pretty(row.line) : <Line text={row.line} />}</span>
    </>
  );
});

function pretty(line: string): string {
  if (!/^\s*[{[]/.test(line)) return line;
  try {
    return JSON.stringify(JSON.parse(line), null, 2);
  } catch {
    return line;
  }
}
