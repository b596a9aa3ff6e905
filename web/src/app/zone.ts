/** The page's time zone as state. */
import { useSyncExternalStore } from 'react';
import { onZone, zone } from '@/core/time/zone';
import type { Zone } from '@/core/time/zone';

export function useZone(): Zone {
  return useSyncExternalStore(onZone, zone, () => 'browser');
}
