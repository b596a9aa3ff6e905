/** The native API of Pharos. */
import { getJSON } from './http';

export type Signal = 'metrics' | 'logs' | 'traces';

export interface SignalStatus {
  received_total: number;
  refused_total: number;
  rate_per_second: number;
  last_received_unix_ms: number;
  bytes_on_disk: number;
}

export interface Status {
  version: string;
  uptime_seconds: number;
  tenant: string;
  demo: boolean;
  signals: Partial<Record<Signal, SignalStatus>>;
  warnings?: string[] | null;
}

export async function fetchStatus(signal?: AbortSignal): Promise<Status> {
  return (await getJSON<Status>('/api/pharos/v1/status', {}, signal)).body;
}

export async function fetchFault(signal?: AbortSignal): Promise<boolean> {
  return (await getJSON<{ active: boolean }>('/api/pharos/v1/demo/fault', {}, signal)).body.active;
}

export async function setFault(active: boolean): Promise<boolean> {
  const res = await fetch('/api/pharos/v1/demo/fault', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ active }),
  });
  if (!res.ok) throw new Error((await res.text()) || `The server answered with status ${res.status}.`);
  return ((await res.json()) as { active: boolean }).active;
}
