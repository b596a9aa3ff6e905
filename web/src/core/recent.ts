/** The queries that were run last, by page. */

export interface Recent {
  page: string;
  query: string;
  at: number;
}

const key = 'pharos.recentQueries';
const most = 30;

export function recentQueries(): Recent[] {
  try {
    const list = JSON.parse(localStorage.getItem(key) ?? '[]') as Recent[];
    return Array.isArray(list) ? list.filter((r) => typeof r?.query === 'string' && typeof r.page === 'string') : [];
  } catch {
    return [];
  }
}

/** Called when the user runs a query, not for links that carry one. */
export function rememberQuery(page: string, query: string): void {
  const text = query.trim();
  if (text === '' || text === '{}') return;
  try {
    const rest = recentQueries().filter((r) => r.page !== page || r.query !== text);
    localStorage.setItem(key, JSON.stringify([{ page, query: text, at: Date.now() }, ...rest].slice(0, most)));
  } catch {
    // Without storage nothing is remembered.
  }
}
