/** Stable colours: the same label set has the same colour on every chart. */

export const paletteSize = 12;

/** 32-bit FNV-1a. */
export function hash(s: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i++) {
    h ^= s.charCodeAt(i);
    h = Math.imul(h, 0x01000193);
  }
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}

/** A text that identifies a label set whatever the order of its labels. */
export function labelKey(labels: Record<string, string>): string {
  return Object.keys(labels)
    .sort()
    .map((k) => `${k}=${labels[k]}`)
    .join(',');
}

/**
 * Colour indexes for the series of one chart. Each starts from the hash of its key; a series whose colour is taken
 * moves to the next free one, so that up to `paletteSize` series never share a colour.
 */
export function assign(keys: string[]): number[] {
  const taken = new Set<number>();
  const out = new Array<number>(keys.length);
  const order = keys.map((_, i) => i).sort((a, b) => (keys[a]! < keys[b]! ? -1 : 1));
  for (const i of order) {
    let c = hash(keys[i]!) % paletteSize;
    if (taken.size < paletteSize) while (taken.has(c)) c = (c + 1) % paletteSize;
    taken.add(c);
    out[i] = c;
  }
  return out;
}

// Services do not use the reds, which mean failure.
const servicePalette = [0, 1, 2, 4, 5, 6, 8, 9, 10, 3, 12, 13, 14];
const storageKey = 'pharos.serviceColors';
const serviceColors = remembered();

/**
 * The palette index of a service. It starts from the hash of the name and stays the same on every page and in later
 * visits; services seen later move on from a colour that is taken while there are free ones.
 */
export function serviceColor(name: string): number {
  const old = serviceColors.get(name);
  if (old !== undefined) return old;
  const taken = new Set(serviceColors.values());
  let at = hash(name) % servicePalette.length;
  if (taken.size < servicePalette.length) while (taken.has(servicePalette[at]!)) at = (at + 1) % servicePalette.length;
  serviceColors.set(name, servicePalette[at]!);
  remember();
  return servicePalette[at]!;
}

function remembered(): Map<string, number> {
  try {
    const list = JSON.parse(localStorage.getItem(storageKey) ?? '[]') as [string, number][];
    return new Map(list.filter(([name, color]) => typeof name === 'string' && servicePalette.includes(color)).slice(-200));
  } catch {
    return new Map();
  }
}

function remember(): void {
  try {
    localStorage.setItem(storageKey, JSON.stringify([...serviceColors].slice(-200)));
  } catch {
    // Without storage the colours last for this visit.
  }
}
