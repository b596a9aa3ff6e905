/** CSS colours for a canvas, which knows no custom properties. */

let probe: HTMLSpanElement | undefined;
const cache = new Map<string, string>();

/** The colour as the canvas takes it, in the current theme. */
export function paint(css: string, alpha = 1): string {
  const theme = document.documentElement.dataset['theme'] ?? '';
  const key = `${theme} ${css} ${alpha}`;
  const hit = cache.get(key);
  if (hit) return hit;
  if (!probe) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = '';
  probe.style.color = alpha < 1 ? `color-mix(in srgb, ${css} ${Math.round(alpha * 100)}%, transparent)` : css;
  const got = getComputedStyle(probe).color;
  if (cache.size > 2000) cache.clear();
  cache.set(key, got);
  return got;
}
