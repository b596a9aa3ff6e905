/** Queries that run now, that were slow, and that cost the most in all. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import { cancelQuery, fetchQueries } from '@/core/api/pharos';
import type { QueryCost, QueryRun } from '@/core/api/pharos';
import { ago } from '@/core/time/range';
import { count, formatValue, seconds } from '@/core/units/units';
import { Button, CopyButton, Empty, ErrorBox, Loading } from '@/ui/kit';

const pages: Record<string, string> = { promql: '/explore/metrics', logql: '/logs', traceql: '/traces' };

export function QueriesTab(): JSX.Element {
  const q = useQuery({ queryKey: ['queries'], queryFn: ({ signal }) => fetchQueries(signal), refetchInterval: 2000, retry: false, meta: { clock: false } });
  if (q.error && !q.data) return <ErrorBox error={q.error} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="queries" />;
  return (
    <>
      {q.error ? <ErrorBox error={q.error} onRetry={() => void q.refetch()} /> : null}
      <Running list={q.data.running} />
      <Costly list={q.data.costly} />
      <Slow list={q.data.slow} />
    </>
  );
}

const lookups = /^(cardinality|labels|label values|series|exemplars|metadata|tags|tag values|traces?|stats|volume)\b[^{(]*$/;

function Text({ language, text }: { language: string; text: string }): JSX.Element {
  // Look-ups of names go through the same door, but are no queries.
  const to = lookups.test(text) ? undefined : pages[language];
  return (
    <span className="row querytext">
      <span className="tag">{language}</span>
      <span className="mono clip grow" title={text}>
        {text}
      </span>
      <CopyButton text={text} label="Copy the query" />
      {to && (
        <GoLink to={to} search={{ q: text, via: 'Queries' }}>
          Open
        </GoLink>
      )}
    </span>
  );
}

function Running({ list }: { list: QueryRun[] }): JSX.Element {
  const client = useQueryClient();
  const m = useMutation({ mutationFn: cancelQuery, onSettled: () => client.invalidateQueries({ queryKey: ['queries'] }) });
  return (
    <section className="panel" aria-label="Running queries">
      <header>
        <h2>Running</h2>
        <span className="muted num">{list.length}</span>
        {m.error ? <span className="bad">{m.error.message}</span> : null}
      </header>
      {list.length === 0 ? (
        <Empty title="Nothing runs at this moment">The list is asked every two seconds.</Empty>
      ) : (
        <table className="table">
          <thead>
            <tr>
              <th>Query</th>
              <th className="r">Running for</th>
              <th className="r">Read</th>
              <th className="r">Rows</th>
              <th className="r">Memory</th>
              <th>
                <span className="sr">Cancel</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {list.map((r) => (
              <tr key={r.id}>
                <td>
                  <Text language={r.language} text={r.query} />
                </td>
                <td className="r">{seconds(r.seconds)}</td>
                <td className="r">{formatValue(r.bytes_read, 'bytes')}</td>
                <td className="r">{formatValue(r.rows_scanned)}</td>
                <td className="r">{formatValue(r.peak_memory, 'bytes')}</td>
                <td className="r">
                  <Button small kind="danger" icon="stop" disabled={m.isPending && m.variables === r.id} onClick={() => m.mutate(r.id)}>
                    Cancel
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

type SortKey = 'seconds' | 'runs' | 'longest_seconds' | 'bytes_read' | 'rows_scanned';

function Costly({ list }: { list: QueryCost[] }): JSX.Element {
  const [sort, setSort] = useState<SortKey>('seconds');
  const now = Date.now();
  const head = (key: SortKey, label: string) => (
    <th className="r" aria-sort={sort === key ? 'descending' : undefined}>
      <button type="button" onClick={() => setSort(key)}>
        {label}
        {sort === key ? ' ↓' : ''}
      </button>
    </th>
  );
  return (
    <section className="panel" aria-label="Costliest queries">
      <header>
        <h2>Costliest since the start</h2>
        <span className="muted num">{list.length}</span>
        <span className="faint">all runs of a text together</span>
      </header>
      {list.length === 0 ? (
        <Empty title="No query was run yet" />
      ) : (
        <table className="table" data-testid="costly">
          <thead>
            <tr>
              <th>Query</th>
              {head('seconds', 'Time in all')}
              {head('runs', 'Runs')}
              {head('longest_seconds', 'Longest')}
              {head('bytes_read', 'Read')}
              {head('rows_scanned', 'Rows')}
              <th className="r">Last</th>
            </tr>
          </thead>
          <tbody>
            {[...list]
              .sort((a, b) => b[sort] - a[sort])
              .slice(0, 30)
              .map((c) => (
                <tr key={c.language + c.query}>
                  <td>
                    <Text language={c.language} text={c.query} />
                  </td>
                  <td className="r">{seconds(c.seconds)}</td>
                  <td className="r">
                    {count(c.runs)}
                    {c.failed > 0 && <span className="bad"> {count(c.failed)} failed</span>}
                  </td>
                  <td className="r">{seconds(c.longest_seconds)}</td>
                  <td className="r">{formatValue(c.bytes_read, 'bytes')}</td>
                  <td className="r">{formatValue(c.rows_scanned)}</td>
                  <td className="r muted">{ago(c.last_unix_ms, now)}</td>
                </tr>
              ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Slow({ list }: { list: QueryRun[] }): JSX.Element {
  const now = Date.now();
  return (
    <section className="panel" aria-label="Slow queries">
      <header>
        <h2>Slow</h2>
        <span className="muted num">{list.length}</span>
        <span className="faint">the latest that took longer than query.slow of the configuration</span>
      </header>
      {list.length === 0 ? (
        <Empty title="No query was slow" />
      ) : (
        <table className="table">
          <thead>
            <tr>
              <th>Query</th>
              <th className="r">Took</th>
              <th className="r">Read</th>
              <th className="r">Rows</th>
              <th className="r">Memory</th>
              <th className="r">When</th>
            </tr>
          </thead>
          <tbody>
            {list.slice(0, 50).map((r) => (
              <tr key={r.id}>
                <td>
                  <Text language={r.language} text={r.query} />
                  {r.error && <div className="bad clip">{r.error}</div>}
                </td>
                <td className="r">{seconds(r.seconds)}</td>
                <td className="r">{formatValue(r.bytes_read, 'bytes')}</td>
                <td className="r">{formatValue(r.rows_scanned)}</td>
                <td className="r">{formatValue(r.peak_memory, 'bytes')}</td>
                <td className="r muted">{ago(r.start_unix_ms, now)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
