/** What a query would read, selector by selector; nothing is read. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { explainLogs } from '@/core/api/loki';
import { count, formatValue } from '@/core/units/units';
import { ErrorBox, Loading } from '@/ui/kit';

export function LogExplain({ query, limit, step }: { query: string; limit: number; step: number }): JSX.Element {
  const { range } = useTime();
  const q = useQuery({
    queryKey: ['explain-logql', query, limit, step, range.from, range.to],
    queryFn: ({ signal }) => explainLogs({ query, range, limit, step }, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (q.error) return <ErrorBox error={q.error} query={query} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="the plan" />;
  return (
    <div className="logexplain" data-testid="explain" tabIndex={0} role="region" aria-label="What the query would read">
      <div className="row wrap">
        <b>Would read at most</b>
        <span className="num">{formatValue(q.data.totalBytes, 'bytes')}</span>
        <span className="muted">Filters leave out blocks before they are read, so it is often much less.</span>
      </div>
      <code>{q.data.query}</code>
      <table className="table">
        <thead>
          <tr>
            <th>Selector</th>
            <th>Filters in the store</th>
            <th className="r">Streams</th>
            <th className="r">Blocks</th>
            <th className="r">Entries</th>
            <th className="r">Bytes</th>
          </tr>
        </thead>
        <tbody>
          {q.data.reads.map((r, i) => (
            <tr key={i}>
              <td className="mono">{r.selector}</td>
              <td className="mono">{r.pushedDown?.map((p) => <div key={p}>{p}</div>) ?? <span className="faint">none</span>}</td>
              <td className="r">{count(r.streams)}</td>
              <td className="r">{count(r.blocks)}</td>
              <td className="r">{count(r.entries)}</td>
              <td className="r">
                {formatValue(r.bytes, 'bytes')}
                {r.stopsAtLimit && <div className="faint">stops at the limit</div>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
