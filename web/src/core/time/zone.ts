/** Time zones: offsets of named zones, and the one zone that the whole page is in. */

/** `browser`, `utc`, or a name such as `Europe/Berlin`. */
export type Zone = string;

const formats = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, number>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let f = formats.get(zone);
  if (!f) formats.set(zone, (f = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' })));
  return f;
}

/** True for a zone that this browser knows. */
export function isZone(zone: string): boolean {
  if (zone === 'browser' || zone === 'utc') return true;
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

const quarter = 900_000;

/** Milliseconds to add to an epoch for the wall clock of the zone. Zones change only at quarters of an hour. */
export function offsetAt(t: number, zone: Zone): number {
  if (zone === 'utc' || !Number.isFinite(t)) return 0;
  if (zone === 'browser') return -new Date(t).getTimezoneOffset() * 60_000;
  const slot = Math.floor(t / quarter) * quarter;
  const key = `${zone} ${slot}`;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  const p: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(slot)) p[type] = Number(value);
  const offset = Date.UTC(p['year']!, p['month']! - 1, p['day']!, p['hour']!, p['minute']!, p['second']!) - slot;
  if (offsets.size > 5000) offsets.clear();
  offsets.set(key, offset);
  return offset;
}

/** The epoch at which the zone's wall clock shows what UTC shows at `wall`. */
export function fromWall(wall: number, zone: Zone): number {
  const guess = wall - offsetAt(wall, zone);
  // Twice, for clocks that changed between the two.
  return wall - offsetAt(guess, zone);
}

const key = 'pharos.zone';
const listeners = new Set<() => void>();
let current: Zone = stored();

function stored(): Zone {
  try {
    const z = localStorage.getItem(key);
    return z && isZone(z) ? z : 'browser';
  } catch {
    return 'browser';
  }
}

/** The zone in which times are shown and read. */
export function zone(): Zone {
  return current;
}

export function setZone(z: Zone): void {
  current = z;
  try {
    localStorage.setItem(key, z);
  } catch {
    // The choice lasts for this page then.
  }
  for (const l of listeners) l();
}

/** Shows times in another zone until the answer is called. A choice that the user makes meanwhile stays. */
export function lendZone(z: Zone): () => void {
  const own = current;
  const show = (to: Zone) => {
    current = to;
    for (const l of listeners) l();
  };
  show(z);
  return () => {
    if (current === z) show(own);
  };
}

export function onZone(l: () => void): () => void {
  listeners.add(l);
  return () => listeners.delete(l);
}

/** The zone's name for people. */
export function zoneName(z: Zone): string {
  if (z === 'utc') return 'UTC';
  return z === 'browser' ? Intl.DateTimeFormat().resolvedOptions().timeZone : z;
}

/** All names the browser knows. */
export function zoneNames(): string[] {
  const all = (Intl as { supportedValuesOf?: (k: string) => string[] }).supportedValuesOf?.('timeZone') ?? [];
  return all.length > 0 ? all : ['Europe/London', 'Europe/Berlin', 'America/New_York', 'America/Los_Angeles', 'Asia/Kolkata', 'Asia/Tokyo', 'Australia/Sydney'];
}
