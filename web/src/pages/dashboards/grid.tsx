/** The 24 columns: rows that fold, panels that move and resize while the dashboard is edited. */
import { useRef, useState } from 'react';
import type { CSSProperties, HTMLAttributes, JSX, PointerEvent } from 'react';
import type { Placed } from '@/grafana/layout';
import type { GridPos } from '@/grafana/model';
import { Icon } from '@/ui/icons';

export interface GridProps {
  placed: Placed[];
  editing: boolean;
  draw: (p: Placed, extra?: { drag?: HTMLAttributes<HTMLElement>; handle?: JSX.Element }) => JSX.Element;
  rowTitle: (p: Placed) => string;
  onToggle: (key: string) => void;
  onMove: (id: number, grid: GridPos) => void;
}

const columns = 24;
/** Height of a grid row with its gap. */
const rowHeight = 38;

const area = (g: GridPos): CSSProperties => ({ gridColumn: `${g.x + 1} / span ${Math.min(g.w, columns - g.x)}`, gridRow: `${g.y + 1} / span ${g.h}` });

interface Drag {
  key: string;
  id: number;
  mode: 'move' | 'size';
  x: number;
  y: number;
  from: GridPos;
  to: GridPos;
}

export function Grid({ placed, editing, draw, rowTitle, onToggle, onMove }: GridProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<Drag>();

  const begin = (p: Placed, mode: Drag['mode']) => (e: PointerEvent<HTMLElement>) => {
    // Menus of a panel are elsewhere on the page, but their events come by here.
    if (e.button !== 0 || !e.currentTarget.contains(e.target as Node) || (mode === 'move' && (e.target as HTMLElement).closest('button, a'))) return;
    e.preventDefault();
    e.currentTarget.setPointerCapture(e.pointerId);
    setDrag({ key: p.key, id: p.panel.id, mode, x: e.clientX, y: e.clientY, from: p.grid, to: p.grid });
  };
  const move = (e: PointerEvent<HTMLElement>) => {
    if (!drag || !box.current) return;
    const cell = box.current.clientWidth / columns;
    const dx = Math.round((e.clientX - drag.x) / cell);
    const dy = Math.round((e.clientY - drag.y) / rowHeight);
    const f = drag.from;
    const to =
      drag.mode === 'move'
        ? { ...f, x: Math.max(0, Math.min(columns - f.w, f.x + dx)), y: Math.max(0, f.y + dy) }
        : { ...f, w: Math.max(2, Math.min(columns - f.x, f.w + dx)), h: Math.max(2, f.h + dy) };
    setDrag({ ...drag, to });
  };
  const end = () => {
    if (drag && (drag.to.x !== drag.from.x || drag.to.y !== drag.from.y || drag.to.w !== drag.from.w || drag.to.h !== drag.from.h)) {
      const { from, to } = drag;
      const panel = placed.find((p) => p.key === drag.key)?.panel;
      // The place on screen differs from the one in the JSON by what repeated and folded rows add.
      if (panel) onMove(drag.id, { x: to.x, y: panel.grid.y + to.y - from.y, w: to.w, h: to.h });
    }
    setDrag(undefined);
  };
  /** Arrow keys do what the pointer does; with Shift they change the size. */
  const keys = (p: Placed) => (e: React.KeyboardEvent) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (!step) return;
    e.preventDefault();
    const g = p.panel.grid;
    const [dx = 0, dy = 0] = step;
    onMove(p.panel.id, e.shiftKey ? { ...g, w: Math.max(2, Math.min(columns - g.x, g.w + dx)), h: Math.max(2, g.h + dy) } : { ...g, x: Math.max(0, Math.min(columns - g.w, g.x + dx)), y: Math.max(0, g.y + dy) });
  };

  return (
    <div ref={box} className={`g-grid${editing ? ' editing' : ''}`} data-testid="grid">
      {placed.map((p) =>
        p.panel.type === 'row' ? (
          <div key={p.key} className="g-row" style={area(p.grid)}>
            <button type="button" aria-expanded={!p.folded} onClick={() => onToggle(p.key)} data-testid="row">
              <Icon name={p.folded ? 'chevron' : 'down'} size={14} />
              <span className="clip">{rowTitle(p) || 'Row'}</span>
              {p.folded && p.panel.panels.length > 0 && <span className="muted">{p.panel.panels.length} panels</span>}
            </button>
          </div>
        ) : (
          <div key={p.key} className={`g-cell${drag?.key === p.key ? ' dragging' : ''}`} style={area(drag?.key === p.key ? drag.to : p.grid)}>
            {draw(
              p,
              editing
                ? {
                    drag: { onPointerDown: begin(p, 'move'), onPointerMove: move, onPointerUp: end, onPointerCancel: end },
                    handle: <button type="button" className="g-handle" aria-label="Move with the arrow keys, resize with Shift and the arrow keys, or drag this corner" onPointerDown={begin(p, 'size')} onPointerMove={move} onPointerUp={end} onPointerCancel={end} onKeyDown={keys(p)} />,
                  }
                : {},
            )}
          </div>
        ),
      )}
    </div>
  );
}
