/** The whole trace in a strip; drag to look at a part of it. */
import { useEffect, useRef, useState } from 'react';
import type { JSX, PointerEvent } from 'react';
import { token, useTheme } from '@/app/theme';
import { serviceColor } from '@/core/palette/palette';
import { paint } from '@/core/trace/strip';
import type { TraceTree } from '@/core/trace/tree';
import { seconds } from '@/core/units/units';
import { useWidth } from '@/viz/use-width';

/** `#rrggbb` as a pixel of an image on a little-endian machine. */
const abgr = (hex: string): number => (0xff000000 | (Number.parseInt(hex.slice(5, 7), 16) << 16) | (Number.parseInt(hex.slice(3, 5), 16) << 8) | Number.parseInt(hex.slice(1, 3), 16)) >>> 0;

export type Window = [fromMs: number, toMs: number];

const height = 56;

export function Minimap({ tree, view, onView }: { tree: TraceTree; view: Window; onView: (w: Window) => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box, 900);
  const theme = useTheme();
  const [drag, setDrag] = useState<{ a: number; b: number }>();
  const total = Math.max(tree.durationMs, 0.001);

  useEffect(() => {
    const c = canvas.current!;
    const dpr = devicePixelRatio || 1;
    c.width = Math.round(width * dpr);
    c.height = Math.round(height * dpr);
    const g = c.getContext('2d');
    if (!g) return;
    const color = (name: string) => {
      g.fillStyle = token(name);
      return abgr(String(g.fillStyle));
    };
    const image = g.createImageData(c.width, c.height);
    const strip = { pixels: new Uint32Array(image.data.buffer), width: c.width, height: c.height, scale: dpr };
    paint(tree, strip, tree.services.map((s) => color(`--s${serviceColor(s)}`)), color('--bad-solid'));
    g.putImageData(image, 0, 0);
  }, [tree, width, theme, total]);

  const at = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (e.clientX - r.left) / r.width)) * total;
  };
  const zoomed = view[0] > 0 || view[1] < total;
  const pct = (ms: number) => `${(ms / total) * 100}%`;
  const shade = drag ? ([Math.min(drag.a, drag.b), Math.max(drag.a, drag.b)] as const) : view;
  return (
    <div
      ref={box}
      className="minimap"
      style={{ height }}
      role="group"
      aria-label={zoomed ? `Showing ${seconds(view[0] / 1000)} to ${seconds(view[1] / 1000)} of ${seconds(total / 1000)}; double-click shows all` : 'Whole trace; drag to look at a part'}
      onPointerDown={(e) => {
        e.currentTarget.setPointerCapture(e.pointerId);
        setDrag({ a: at(e), b: at(e) });
      }}
      onPointerMove={(e) => drag && setDrag({ ...drag, b: at(e) })}
      onPointerUp={() => {
        if (drag && Math.abs(drag.b - drag.a) > total * 0.003) onView([Math.min(drag.a, drag.b), Math.max(drag.a, drag.b)]);
        setDrag(undefined);
      }}
      onDoubleClick={() => onView([0, total])}
    >
      <canvas ref={canvas} style={{ width: '100%', height }} aria-hidden="true" />
      {(zoomed || drag) && (
        <>
          <span className="shade" style={{ left: 0, width: pct(shade[0]) }} />
          <span className="shade" style={{ left: pct(shade[1]), right: 0 }} />
        </>
      )}
    </div>
  );
}
