/** What every uPlot chart here has in common: round times on the axis, the tooltip, clicks that are no drags, zooming. */
import type uPlot from 'uplot';
import { formatTime } from '@/core/time/range';
import { offsetAt, zone } from '@/core/time/zone';

/** A date whose local fields are those of the page's zone, which is how the axis finds round times. */
export function zonedDate(ts: number): Date {
  const t = ts * 1000;
  const d = new Date(t + offsetAt(t, zone()));
  return new Date(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds(), d.getUTCMilliseconds());
}

export function timeTicks(_u: uPlot, splits: number[], _axis: number, _space: number, incr: number): string[] {
  return splits.map((s, i) => {
    const text = formatTime(s * 1000);
    if (incr >= 86400) return text.slice(5, 10);
    const clock = incr < 60 ? text.slice(11) : text.slice(11, 16);
    const newDay = i > 0 && formatTime(splits[i - 1]! * 1000).slice(0, 10) !== text.slice(0, 10);
    return newDay ? `${text.slice(5, 10)} ${clock}` : clock;
  });
}

/** Draw single points only when hardly anything else would be seen. */
export function lonely(u: uPlot, si: number, i0: number, i1: number): boolean {
  let n = 0;
  const col = u.data[si]!;
  for (let i = i0; i <= i1; i++) if (col[i] !== null && col[i] !== undefined && !Number.isNaN(col[i]) && ++n > 3) return false;
  return n > 0;
}

/** A drag along the time axis zooms. */
export const zoomOnSelect =
  (zoom: () => ((from: number, to: number) => void) | undefined) =>
  (u: uPlot): void => {
    if (u.select.width > 3) zoom()?.(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000);
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  };

/** A value under the cursor. */
export interface TipRow {
  v: number;
  /** Pixels from the cursor. */
  near: number;
}

export const nearest = <R extends TipRow>(rows: R[]): R => rows.reduce((a, b) => (b.near < a.near ? b : a));

export interface TipOptions<R extends TipRow> {
  /** What has a value under the cursor. */
  rows: () => R[];
  onClick: (row: R) => void;
  /** Without it the browser's own menu opens. */
  onMenu?: (row: R) => boolean;
}

/** The tooltip of a chart, and what a click on the values that it shows does. */
export class Tip<R extends TipRow> {
  private readonly box = document.createElement('div');

  constructor(
    private readonly u: uPlot,
    { rows, onClick, onMenu }: TipOptions<R>,
  ) {
    this.box.className = 'chart-tip';
    this.hide();
    u.root.append(this.box);
    u.over.addEventListener('mouseleave', () => this.hide());
    let down = 0;
    u.over.addEventListener('mousedown', (e) => (down = e.clientX));
    u.over.addEventListener('click', (e) => {
      const list = rows();
      // The end of a drag is a click too.
      if (Math.abs(e.clientX - down) > 3 || list.length === 0) return;
      this.hide();
      onClick(nearest(list));
    });
    u.over.addEventListener('contextmenu', (e) => {
      const list = rows();
      if (list.length === 0 || !onMenu?.(nearest(list))) return;
      e.preventDefault();
      this.hide();
    });
  }

  hide(): void {
    this.box.hidden = true;
  }

  /** Shows rows in their order, the nearest always among them; at most `most`, and one alone without a word on the rest. */
  show(rows: R[], most: number, look: (row: R) => { color: string; name: string; value: string }, notes: string[] = []): void {
    const { left, top, idx } = this.u.cursor;
    // A chart that follows the cursor of another shows the line but no box.
    const own = this.u.over.matches(':hover') || this.u.root.parentElement === document.activeElement;
    this.box.hidden = rows.length === 0 || !own || idx === null || idx === undefined || left === undefined || left < 0;
    if (this.box.hidden) return;
    const near = nearest(rows);
    let shown = rows.slice(0, most);
    if (!shown.includes(near)) shown = [...rows.slice(0, most - 1), near];
    this.box.replaceChildren(line('time', formatTime(this.u.data[0][idx!]! * 1000)));
    for (const r of shown) {
      const { color, name, value } = look(r);
      const el = document.createElement('div');
      el.className = r === near && shown.length > 1 ? 'near' : '';
      const dot = document.createElement('i');
      dot.style.background = color;
      el.append(dot, line('name', name), line('val', value));
      this.box.append(el);
    }
    if (rows.length > shown.length && most > 1) this.box.append(line('more', `${rows.length - shown.length} more`));
    for (const n of notes) this.box.append(line('more', n));
    const x = left! + this.u.over.offsetLeft;
    const flip = x + this.box.offsetWidth + 24 > this.u.root.clientWidth;
    this.box.style.transform = `translate(${flip ? Math.max(0, x - this.box.offsetWidth - 14) : x + 14}px, ${Math.max(2, (top ?? 0) - 10)}px)`;
  }
}

function line(cls: string, text: string): HTMLElement {
  const el = document.createElement('span');
  el.className = cls;
  el.textContent = text;
  return el;
}

/** The index after the cursor has moved one point by the keyboard, or undefined where there is none. */
export function stepCursor(u: uPlot, key: string): number | undefined {
  const n = u.data[0].length;
  if ((key !== 'ArrowLeft' && key !== 'ArrowRight') || n === 0) return undefined;
  const old = u.cursor.idx ?? (key === 'ArrowLeft' ? n : -1);
  const idx = Math.max(0, Math.min(n - 1, old + (key === 'ArrowLeft' ? -1 : 1)));
  u.setCursor({ left: u.valToPos(u.data[0][idx]!, 'x'), top: 10 });
  return idx;
}
