/** The dashboards of the server. */
import { ApiError, getJSON } from '@/core/api/http';
import type { Json } from './model';

export interface Hit {
  uid: string;
  title: string;
  slug: string;
  type: 'dash-db' | 'dash-folder';
  tags: string[];
  isStarred: boolean;
  folderUid?: string;
  folderTitle?: string;
  source?: 'saved' | 'file' | 'shipped';
  updated?: string;
}

export async function searchDashboards(q: { query?: string; tags?: string[]; folder?: string; starred?: boolean }, signal?: AbortSignal): Promise<Hit[]> {
  const { body } = await getJSON<Hit[]>('/grafana/api/search', { type: 'dash-db', query: q.query, tag: q.tags ?? [], folderUIDs: q.folder, starred: q.starred ? 'true' : undefined, limit: 5000 }, signal);
  return body;
}

export interface Folder {
  uid: string;
  title: string;
}

export async function folders(signal?: AbortSignal): Promise<Folder[]> {
  return (await getJSON<Folder[]>('/api/folders', {}, signal)).body;
}

export interface DashboardMeta {
  isStarred: boolean;
  version: number;
  created: string;
  updated: string;
  folderUid?: string;
  folderTitle: string;
  provisioned: boolean;
  provisionedExternalId?: string;
  source: 'saved' | 'file' | 'shipped';
  url: string;
}

export async function loadDashboard(uid: string, signal?: AbortSignal): Promise<{ meta: DashboardMeta; dashboard: Json }> {
  return (await getJSON<{ meta: DashboardMeta; dashboard: Json }>(`/api/dashboards/uid/${encodeURIComponent(uid)}`, {}, signal)).body;
}

/** The text of a dashboard, byte for byte as it was saved. */
export async function rawText(uid: string, signal?: AbortSignal): Promise<string> {
  const path = `/api/dashboards/uid/${encodeURIComponent(uid)}/raw`;
  const res = await fetch(path, signal ? { signal } : {}).catch((err: unknown) => {
    if (signal?.aborted) throw err;
    throw new ApiError('The server cannot be reached.', 0);
  });
  if (!res.ok) throw new ApiError(`${path}: status ${res.status}`, res.status);
  return res.text();
}

async function send<T>(method: string, path: string, body?: string): Promise<T> {
  const res = await fetch(path, { method, headers: { 'Content-Type': 'application/json' }, ...(body !== undefined ? { body } : {}) }).catch(() => {
    throw new ApiError('The server cannot be reached.', 0);
  });
  const text = await res.text();
  if (!res.ok) {
    let message = text;
    try {
      message = (JSON.parse(text) as { message?: string }).message ?? text;
    } catch {
      // A proxy in between answers in its own way.
    }
    throw new ApiError(message || `The server answered with status ${res.status}.`, res.status);
  }
  return JSON.parse(text) as T;
}

export interface Saved {
  uid: string;
  version: number;
  url: string;
}

/** Saves a dashboard from its text, which the server keeps byte for byte. */
export function saveText(text: string, opts: { folderUid?: string | undefined; message?: string; overwrite?: boolean } = {}): Promise<Saved> {
  const rest = JSON.stringify({ folderUid: opts.folderUid ?? '', message: opts.message ?? '', overwrite: opts.overwrite ?? false });
  return send('POST', '/api/dashboards/db', `{"dashboard":${text},${rest.slice(1)}`);
}

export const deleteDashboard = (uid: string): Promise<unknown> => send('DELETE', `/api/dashboards/uid/${encodeURIComponent(uid)}`);
export const starDashboard = (uid: string, on: boolean): Promise<unknown> => send(on ? 'POST' : 'DELETE', `/api/user/stars/dashboard/uid/${encodeURIComponent(uid)}`);
export const createFolder = (title: string): Promise<Folder> => send('POST', '/api/folders', JSON.stringify({ title }));

export interface VersionInfo {
  version: number;
  created: string;
  message: string;
  restoredFrom: number;
  data?: Json;
}

export async function versions(uid: string, signal?: AbortSignal): Promise<VersionInfo[]> {
  return (await getJSON<{ versions: VersionInfo[] }>(`/api/dashboards/uid/${encodeURIComponent(uid)}/versions`, {}, signal)).body.versions;
}

export async function version(uid: string, n: number, signal?: AbortSignal): Promise<VersionInfo> {
  return (await getJSON<VersionInfo>(`/api/dashboards/uid/${encodeURIComponent(uid)}/versions/${n}`, {}, signal)).body;
}

export const restore = (uid: string, n: number): Promise<Saved> => send('POST', `/api/dashboards/uid/${encodeURIComponent(uid)}/restore`, JSON.stringify({ version: n }));
