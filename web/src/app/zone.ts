/** The page's time zone as state. */
import { useLayoutEffect, useSyncExternalStore } from 'react';
import { isZone, lendZone, onZone, zone } from '@/core/time/zone';
import type { Zone } from '@/core/time/zone';

export function useZone(): Zone {
  return useSyncExternalStore(onZone, zone, () => 'browser');
}

/** Shows times in the zone that the address names, for as long as it does. */
export function useAddressZone(asked: string | undefined): void {
  useLayoutEffect(() => (asked && isZone(asked) ? lendZone(asked) : undefined), [asked]);
}
