/** The queries that were run last in this browser, to go on with them. */
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import { recentQueries } from '@/core/recent';
import { ago } from '@/core/time/range';

const pages: Record<string, string> = { '/explore/metrics': 'Metrics', '/logs': 'Logs', '/traces': 'Traces' };
const most = 8;

export function RecentQueries(): JSX.Element | null {
  const list = recentQueries()
    .filter((r) => r.page in pages)
    .slice(0, most);
  if (list.length === 0) return null;
  const now = Date.now();
  return (
    <section className="panel" aria-label="Recent queries" data-testid="recent">
      <header>
        <h2>Recent queries</h2>
        <span className="faint">of this browser</span>
      </header>
      <ul className="recent">
        {list.map((r) => (
          <li key={`${r.page} ${r.query}`}>
            <span className="muted">{pages[r.page]}</span>
            <GoLink to={r.page} search={{ q: r.query, via: 'Home' }} className="mono clip" title={r.query}>
              {r.query}
            </GoLink>
            <span className="faint num">{ago(r.at, now)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
