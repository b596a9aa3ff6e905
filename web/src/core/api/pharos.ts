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

export interface QueryRun {
  id: string;
  language: string;
  query: string;
  start_unix_ms: number;
  seconds: number;
  bytes_read: number;
  rows_scanned: number;
  peak_memory: number;
  error?: string;
}

export interface QueryCost {
  language: string;
  query: string;
  runs: number;
  failed: number;
  seconds: number;
  longest_seconds: number;
  bytes_read: number;
  rows_scanned: number;
  peak_memory: number;
  last_unix_ms: number;
}

export interface Queries {
  running: QueryRun[];
  slow: QueryRun[];
  costly: QueryCost[];
}

export async function fetchQueries(signal?: AbortSignal): Promise<Queries> {
  return (await getJSON<Queries>('/api/pharos/v1/queries', {}, signal)).body;
}

export async function cancelQuery(id: string): Promise<void> {
  const res = await fetch(`/api/pharos/v1/queries/${encodeURIComponent(id)}`, { method: 'DELETE' });
  // One that is over by now is as good as cancelled.
  if (!res.ok && res.status !== 404) throw new Error((await res.text()) || `The server answered with status ${res.status}.`);
}

export interface Reject {
  signal: Signal;
  reason: string;
  count: number;
  sample: string;
  last_unix_ms: number;
}

export async function fetchRejects(signal?: AbortSignal): Promise<Reject[]> {
  return (await getJSON<{ rejects: Reject[] }>('/api/pharos/v1/rejects', {}, signal)).body.rejects;
}

export interface Storage {
  signals: Partial<Record<Signal, { bytes_on_disk: number; retention_seconds: number }>>;
  free_bytes: number;
  total_bytes: number;
}

export async function fetchStorage(signal?: AbortSignal): Promise<Storage> {
  return (await getJSON<Storage>('/api/pharos/v1/storage', {}, signal)).body;
}
