/** The patterns of the lines: what is said, how often, and since when. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { logPatterns } from '@/core/api/loki';
import type { LogPattern } from '@/core/api/loki';
import { selectorOf } from '@/core/logs/logql';
import { normalizeLevel } from '@/core/logs/rows';
import { niceStep } from '@/core/time/range';
import { count, formatValue } from '@/core/units/units';
import { align } from '@/viz/align';
import { Button, Empty, ErrorBox, IconButton, Loading, LoadingBar, Spark } from '@/ui/kit';

export function Patterns({ query, onPattern }: { query: string; onPattern: (pattern: string, include: boolean) => void }): JSX.Element {
  const time = useTime();
  const step = niceStep(time.range, 60, 10);
  const selector = selectorOf(query);
  const [filter, setFilter] = useState('');
  const q = useQuery({
    queryKey: ['patterns', selector, time.range.from, time.range.to],
    queryFn: async ({ signal }): Promise<LogPattern[] | null> => (await logPatterns(selector!, time.range, step, signal)) ?? null,
    enabled: selector !== undefined,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const list = useMemo(() => (q.data ?? []).filter((p) => p.pattern.toLowerCase().includes(filter.trim().toLowerCase())), [q.data, filter]);
  if (q.error) return <ErrorBox error={q.error} query={selector} onRetry={() => void q.refetch()} />;
  if (q.data === undefined) return <Loading what="patterns" />;
  if (q.data === null || q.data.length === 0) {
    return (
      <Empty title="No patterns" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
        Patterns are learned as lines arrive and kept for a few hours. None with at least thirty lines is known for these streams in this time range.
      </Empty>
    );
  }
  const total = q.data.reduce((n, p) => n + p.total, 0);
  return (
    <div className="patternlist" data-testid="patterns">
      <LoadingBar on={q.isFetching} />
      <div className="row" style={{ padding: '8px 12px' }}>
        <input className="input" style={{ width: 260, height: 24 }} placeholder="Filter patterns" aria-label="Filter patterns" value={filter} onChange={(e) => setFilter(e.target.value)} />
        <span className="muted num">
          {count(list.length)} patterns, {formatValue(total)} lines
        </span>
        <span className="faint">of the streams, whatever the other filters of the query</span>
      </div>
      <table className="table">
        <thead>
          <tr>
            <th>Level</th>
            <th className="sparkcol">Over time</th>
            <th className="r">Lines</th>
            <th className="r">Share</th>
            <th>Pattern</th>
            <th>
              <span className="sr">Filter</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {list.map((p) => (
            <PatternRow key={p.level + p.pattern} p={p} total={total} step={step} onPattern={onPattern} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function PatternRow({ p, total, step, onPattern }: { p: LogPattern; total: number; step: number; onPattern: (pattern: string, include: boolean) => void }): JSX.Element {
  const { range } = useTime();
  const values = useMemo(() => align([{ times: p.times, values: p.counts }], range, step)[1]!.map((v) => v ?? 0), [p, range, step]);
  const level = normalizeLevel(p.level);
  return (
    <tr>
      <td className="levelcell" data-level={level}>
        {p.level || '–'}
      </td>
      <td className="sparkcol">
        <Spark values={values} height={20} color={`var(--lv-${level})`} label="Lines over time" />
      </td>
      <td className="r">{count(p.total)}</td>
      <td className="r muted">{formatValue(p.total / total, 'ratio')}</td>
      <td className="mono pattern">
        {p.pattern.split('<_>').map((part, i) => (
          <span key={i}>
            {i > 0 && <span className="hole">…</span>}
            {part}
          </span>
        ))}
      </td>
      <td className="r">
        <span className="row" style={{ gap: 2, justifyContent: 'flex-end' }}>
          <IconButton small kind="quiet" icon="plus" label="Only lines of this pattern" onClick={() => onPattern(p.pattern, true)} />
          <IconButton small kind="quiet" icon="minus" label="Without lines of this pattern" onClick={() => onPattern(p.pattern, false)} />
        </span>
      </td>
    </tr>
  );
}
