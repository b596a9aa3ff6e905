/** The spans as a tree of bars. Rows are virtual; everything they show comes from the columns of the tree. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useEffect, useRef, useState } from 'react';
import type { CSSProperties, JSX } from 'react';
import { serviceColor } from '@/core/palette/palette';
import type { TraceTree } from '@/core/trace/tree';
import { seconds } from '@/core/units/units';
import { Icon } from '@/ui/icons';
import type { Window } from './minimap';

export interface WaterfallProps {
  tree: TraceTree;
  rows: Int32Array;
  collapsed: ReadonlySet<number>;
  view: Window;
  selected: number;
  matches: ReadonlySet<number>;
  critical: boolean;
  onSelect: (row: number) => void;
  onToggle: (row: number) => void;
}

const rowHeight = 26;

export function Waterfall(p: WaterfallProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [nameWidth, setNameWidth] = useState(400);
  const virtual = useVirtualizer({ count: p.rows.length, getScrollElement: () => box.current, estimateSize: () => rowHeight, overscan: 10 });

  useEffect(() => {
    const i = p.rows.indexOf(p.selected);
    if (i >= 0) virtual.scrollToIndex(i, { align: 'auto' });
  }, [p.selected, p.rows, virtual]);

  const span = Math.max(p.view[1] - p.view[0], 1e-6);
  const ticks = [0, 0.25, 0.5, 0.75];
  return (
    <div className="waterfall" style={{ '--name': `${nameWidth}px` } as CSSProperties}>
      <div className="wf-head">
        <span className="wf-name">Service and operation</span>
        <Splitter width={nameWidth} onWidth={setNameWidth} />
        <span className="wf-axis num">
          {ticks.map((f) => (
            <span key={f} style={{ left: `${f * 100}%` }}>
              {seconds((p.view[0] + f * span) / 1000)}
            </span>
          ))}
          <span className="end">{seconds(p.view[1] / 1000)}</span>
        </span>
      </div>
      <div className="wf-body" ref={box} tabIndex={0} role="region" aria-label="Spans" data-testid="waterfall">
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {virtual.getVirtualItems().map((v) => {
            const row = p.rows[v.index]!;
            return (
              <div key={row} style={{ position: 'absolute', top: 0, left: 0, right: 0, height: rowHeight, transform: `translateY(${v.start}px)` }}>
                <SpanRow
                  tree={p.tree}
                  row={row}
                  from={p.view[0]}
                  span={span}
                  selected={row === p.selected}
                  match={p.matches.has(row)}
                  dimmed={p.matches.size > 0 && !p.matches.has(row)}
                  collapsed={p.collapsed.has(row)}
                  critical={p.critical && p.tree.critical[row] === 1}
                  onSelect={p.onSelect}
                  onToggle={p.onToggle}
                />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function Splitter({ width, onWidth }: { width: number; onWidth: (w: number) => void }): JSX.Element {
  const start = useRef<{ x: number; w: number }>(undefined);
  return (
    <span
      className="wf-split"
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the names"
      aria-valuenow={width}
      aria-valuemin={160}
      aria-valuemax={800}
      tabIndex={0}
      onKeyDown={(e) => {
        if (e.key === 'ArrowLeft') onWidth(Math.max(160, width - 20));
        if (e.key === 'ArrowRight') onWidth(Math.min(800, width + 20));
      }}
      onPointerDown={(e) => {
        e.currentTarget.setPointerCapture(e.pointerId);
        start.current = { x: e.clientX, w: width };
      }}
      onPointerMove={(e) => start.current && onWidth(Math.max(160, Math.min(800, start.current.w + e.clientX - start.current.x)))}
      onPointerUp={() => (start.current = undefined)}
    />
  );
}

interface RowProps {
  tree: TraceTree;
  row: number;
  from: number;
  span: number;
  selected: boolean;
  match: boolean;
  dimmed: boolean;
  collapsed: boolean;
  critical: boolean;
  onSelect: (row: number) => void;
  onToggle: (row: number) => void;
}

const SpanRow = memo(function SpanRow({ tree: t, row: r, from, span, selected, match, dimmed, collapsed, critical, onSelect, onToggle }: RowProps): JSX.Element {
  const depth = t.depth[r]!;
  const kids = t.descendants[r]!;
  const service = t.services[t.service[r]!]!;
  const color = `var(--s${serviceColor(service)})`;
  const parent = t.parent[r]!;
  const sameService = parent >= 0 && t.service[parent] === t.service[r];
  const left = ((t.start[r]! - from) / span) * 100;
  const width = (t.duration[r]! / span) * 100;
  const end = left + width;
  const outside = end < 0 || left > 100;
  const time = seconds(t.duration[r]! / 1000);
  const error = t.error[r] === 1;
  return (
    <div className="wf-row" data-selected={selected || undefined} data-match={match || undefined} data-dimmed={dimmed || undefined} onClick={() => onSelect(r)}>
      <div className="wf-name" style={{ paddingLeft: 8 + Math.min(depth, 40) * 12 }}>
        {kids > 0 ? (
          <button
            type="button"
            className="twist"
            aria-expanded={!collapsed}
            aria-label={collapsed ? `Expand ${kids} spans` : 'Collapse'}
            onClick={(e) => {
              e.stopPropagation();
              onToggle(r);
            }}
          >
            <Icon name={collapsed ? 'chevron' : 'down'} size={12} />
          </button>
        ) : (
          <span className="twist" />
        )}
        <i className="svcbar" style={{ background: color }} />
        <button type="button" className="opname clip" aria-pressed={selected} title={`${service} ${t.name[r]}`}>
          {!sameService && <b>{service}</b>} {t.name[r]}
        </button>
        {error && (
          <span className="errmark" role="img" aria-label="failed">
            <Icon name="error" size={13} />
          </span>
        )}
        {collapsed && <span className="tag num">+{kids}</span>}
      </div>
      <div className="wf-track">
        {[25, 50, 75].map((x) => (
          <span key={x} className="gridline" style={{ left: `${x}%` }} />
        ))}
        {!outside && (
          <>
            <span className="wf-bar" data-error={error || undefined} style={{ left: `${Math.max(left, 0)}%`, width: `max(2px, ${Math.min(end, 100) - Math.max(left, 0)}%)`, background: color }}>
              {critical && <span className="crit" />}
            </span>
            <span className="wf-dur num" data-inside={(end >= 86 && left <= 14) || undefined} style={end < 86 ? { left: `calc(${Math.max(end, 0)}% + 6px)` } : left > 14 ? { right: `calc(${100 - Math.max(left, 0)}% + 6px)` } : { right: 8 }}>
              {time}
            </span>
          </>
        )}
        {outside && <span className="wf-dur faint" style={end < 0 ? { left: 4 } : { right: 4 }}>{end < 0 ? '‹' : '›'}</span>}
      </div>
    </div>
  );
});
