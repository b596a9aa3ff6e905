/** The columns that were chosen for a stream, so that they are there again the next time. */
import { selectorOf } from '@/core/logs/logql';

const key = 'pharos.logColumns';
const most = 60;

function all(): [string, string][] {
  try {
    const list = JSON.parse(localStorage.getItem(key) ?? '[]') as [string, string][];
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** As in the URL: names with commas between them. */
export function loadColumns(query: string): string {
  const s = selectorOf(query);
  return all().find(([k]) => k === s)?.[1] ?? '';
}

export function saveColumns(query: string, columns: string[]): void {
  const s = selectorOf(query);
  if (!s) return;
  try {
    const rest = all().filter(([k]) => k !== s);
    localStorage.setItem(key, JSON.stringify([...rest, ...(columns.length > 0 ? [[s, columns.join(',')]] : [])].slice(-most)));
  } catch {
    // Without storage the columns are only in the URL.
  }
}
