/** A whole trace as the pixels of a strip. Written straight into memory: 100,000 calls of a canvas take half a second. */
import type { TraceTree } from './tree';

export interface Strip {
  pixels: Uint32Array;
  width: number;
  height: number;
  /** Device pixels in a pixel of the page. */
  scale: number;
}

const margin = 3;

/** Draws every span as a bar, the rows from top to bottom in the order of the tree; failed ones lie above the others. */
export function paint(t: TraceTree, s: Strip, colors: number[], bad: number): void {
  const total = Math.max(t.durationMs, 0.001);
  const top = margin * s.scale;
  const room = Math.max(1, s.height - 2 * top);
  const rowH = Math.min(4 * s.scale, room / t.size);
  const barH = Math.max(1, Math.round(rowH - (rowH > 2 * s.scale ? s.scale : 0)));
  for (const failed of [0, 1]) {
    for (let r = 0; r < t.size; r++) {
      if (t.error[r] !== failed) continue;
      const x0 = Math.min(s.width - 1, Math.floor((t.start[r]! / total) * s.width));
      const x1 = Math.min(s.width, Math.max(x0 + 1, Math.round(((t.start[r]! + t.duration[r]!) / total) * s.width)));
      const y0 = Math.floor(top + r * rowH);
      for (let y = y0; y < y0 + barH && y < s.height; y++) s.pixels.fill(failed ? bad : colors[t.service[r]!]!, y * s.width + x0, y * s.width + x1);
    }
  }
}
