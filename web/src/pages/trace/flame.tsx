/** The flame graph: where the time of a trace went, whichever span it was. A click makes a box the whole. */
import { useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { serviceColor } from '@/core/palette/palette';
import { buildFlame, flatten } from '@/core/trace/flame';
import type { FlameNode } from '@/core/trace/flame';
import type { TraceTree } from '@/core/trace/tree';
import { count, seconds } from '@/core/units/units';
import { Button, Empty } from '@/ui/kit';
import { useWidth } from '@/viz/use-width';

const rowH = 24;

export function Flame({ tree, matches, selected, onSelect }: { tree: TraceTree; matches: ReadonlySet<number>; selected: number; onSelect: (row: number) => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box, 900);
  const roots = useMemo(() => buildFlame(tree), [tree]);
  const [path, setPath] = useState<FlameNode[]>([]);
  const [hover, setHover] = useState<FlameNode>();
  const zoom = path[path.length - 1];
  const x0 = zoom?.x ?? 0;
  const scale = 1 / (zoom?.w || 1);
  const nodes = useMemo(() => flatten(zoom ? [zoom] : roots, 1.5 / width / scale), [roots, zoom, width, scale]);
  const depth = nodes.reduce((m, n) => Math.max(m, n.depth), 0) - (zoom?.depth ?? 0) + 1;
  const shown = hover ?? zoom;
  const total = (zoom ? [zoom] : roots).reduce((n, r) => n + r.total, 0);
  if (roots.length === 0) return <Empty title="No spans" />;
  return (
    <div className="flame">
      <div className="flamehead row">
        <Button small disabled={path.length === 0} onClick={() => setPath([])}>
          Whole trace
        </Button>
        {path.map((p, i) => (
          <Button key={`${p.depth}${p.name}`} small kind="quiet" onClick={() => setPath(path.slice(0, i + 1))}>
            {p.name}
          </Button>
        ))}
        <span className="grow" />
        <span className="muted num clip" aria-live="polite">
          {shown ? `${tree.services[shown.service]} ${shown.name} · ${count(shown.count)}× · ${seconds(shown.total / 1000)} · self ${seconds(shown.self / 1000)} · ${Math.round((shown.total / total) * 100)}%` : 'Boxes of one path are merged; the width is their time.'}
        </span>
      </div>
      <div className="flamescroll" tabIndex={0} role="region" aria-label="Flame graph" data-testid="flame">
        <div ref={box} style={{ position: 'relative', height: depth * rowH }}>
          {nodes.map((n) => {
            const w = n.w * scale * width;
            const name = tree.services[n.service]!;
            return (
              <button
                type="button"
                key={`${n.depth}:${n.x}:${n.name}`}
                className="flamebox"
                data-error={n.errors > 0 || undefined}
                data-match={(matches.size > 0 && matches.has(n.row)) || undefined}
                data-selected={n.row === selected || undefined}
                style={{ left: (n.x - x0) * scale * width, top: (n.depth - (zoom?.depth ?? 0)) * rowH, width: Math.max(1, w - 1), background: `color-mix(in srgb, var(--s${serviceColor(name)}) 34%, var(--surface))`, borderLeftColor: `var(--s${serviceColor(name)})` }}
                aria-label={`${name} ${n.name}, ${count(n.count)} spans, ${seconds(n.total / 1000)}`}
                onPointerEnter={() => setHover(n)}
                onPointerLeave={() => setHover(undefined)}
                onFocus={() => setHover(n)}
                onBlur={() => setHover(undefined)}
                onDoubleClick={() => onSelect(n.row)}
                onClick={() => {
                  if (n === zoom) onSelect(n.row);
                  else setPath([...path.filter((p) => p.depth < n.depth), n]);
                }}
              >
                {w > 40 && (
                  <>
                    {n.name}
                    {n.count > 1 && <span className="faint"> {count(n.count)}×</span>}
                  </>
                )}
              </button>
            );
          })}
        </div>
      </div>
    </div>
  );
}
