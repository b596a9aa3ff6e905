/** What a query would read, pipeline by pipeline; nothing is read. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { explainTraces } from '@/core/api/tempo';
import { count, formatValue } from '@/core/units/units';
import { Empty, ErrorBox, Loading } from '@/ui/kit';

/** shown is the error of the search itself, which stands above: the plan does not repeat it. */
export function TraceCost({ query, shown }: { query: string; shown?: unknown }): JSX.Element {
  const { range } = useTime();
  const q = useQuery({
    queryKey: ['explain-traceql', query, range.from, range.to],
    queryFn: ({ signal }) => explainTraces(query, range, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (q.error && shown instanceof Error && shown.message === q.error.message) return <Empty title="No plan">The query has to be right first.</Empty>;
  if (q.error) return <ErrorBox error={q.error} query={query} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="the plan" />;
  const spans = q.data.reads.reduce((n, r) => n + r.spans, 0);
  return (
    <div className="tracecost" data-testid="explain" tabIndex={0} role="region" aria-label="What the query would read">
      <div className="row wrap">
        {q.data.totalBytes > 0 ? (
          <>
            <b>Would read at most</b>
            <span className="num">{formatValue(q.data.totalBytes, 'bytes')}</span>
            <span className="muted">Rows are read only where traces match, so it is often much less.</span>
          </>
        ) : (
          <>
            <b>Would read nothing from disk</b>
            <span className="muted">{spans > 0 ? 'All the spans it looks at are still in memory.' : 'No span in this time range can match.'}</span>
          </>
        )}
      </div>
      {q.data.reads.length > 1 && <code>{q.data.query}</code>}
      <table className="table">
        <thead>
          <tr>
            <th>Pipeline</th>
            <th>Filter in the store</th>
            <th className="r">Files</th>
            <th className="r">Row groups</th>
            <th className="r">Spans</th>
            <th className="r">To filter</th>
            <th className="r">Rows</th>
          </tr>
        </thead>
        <tbody>
          {q.data.reads.map((r, i) => (
            <tr key={i}>
              <td className="mono">{r.query}</td>
              <td className="mono">{r.pushedDown?.map((p, j) => <div key={p}>{j > 0 ? `or ${p}` : p}</div>) ?? <span className="faint">none</span>}</td>
              <td className="r">{count(r.blocks)}</td>
              <td className="r">
                {count(r.rowGroups)}
                {r.prunedRowGroups > 0 && <div className="faint">{count(r.prunedRowGroups)} left out</div>}
              </td>
              <td className="r">{count(r.spans)}</td>
              <td className="r">{formatValue(r.filterBytes, 'bytes')}</td>
              <td className="r">
                {formatValue(r.rowBytes, 'bytes')}
                {r.readsResultsAgain && <div className="faint">results are read again</div>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
