/** Why slow: what sets the selected spans apart from the others, where their time goes and what their logs say. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { GoLink } from '@/app/url';
import { explainSpans } from '@/core/api/explain';
import type { Explanation, Factor, Selection } from '@/core/api/explain';
import { logsForTrace } from '@/core/context/correlate';
import { serviceColor } from '@/core/palette/palette';
import { formatTime } from '@/core/time/range';
import { count, formatValue, seconds } from '@/core/units/units';
import { Button, CostLine, Empty, ErrorBox, IconButton, Loading, LoadingBar, Partial } from '@/ui/kit';

interface CompareProps {
  /** What is compared, selected or not. */
  query: string;
  selection: Selection;
  /** Adds a condition to the search. */
  onFilter: (filter: string) => void;
}

export function Compare({ query, selection, onFilter }: CompareProps): JSX.Element {
  const time = useTime();
  const q = useQuery({
    queryKey: ['explain', query, selection, time.range.from, time.range.to],
    queryFn: ({ signal }) => explainSpans(query, time.range, selection, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (q.error) return <ErrorBox error={q.error} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="the comparison" />;
  const e = q.data.reply;
  if (e.selection.spans === 0 || e.baseline.spans === 0) {
    return (
      <Empty title={e.selection.spans === 0 ? 'Nothing is selected' : 'There is nothing to compare with'} action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
        {e.selection.spans === 0 ? 'No span of this search is in the selection.' : 'Every span of this search is selected.'} Select a part of the chart above, or look at a longer time.
      </Empty>
    );
  }
  return (
    <div className={`compare${q.isPlaceholderData ? ' dim' : ''}`} data-testid="compare">
      <LoadingBar on={q.isFetching} />
      <Partial warnings={e.warnings} />
      <Summary e={e} selection={selection} cost={<CostLine cost={q.data.cost} parts={[`${count(e.spans_scanned)} spans scanned`]} />} />
      <div className="comparegrid">
        <Factors list={e.factors} onFilter={onFilter} />
        <div className="compareside">
          <TimeShares e={e} />
          <Patterns e={e} />
          <Examples e={e} />
        </div>
      </div>
    </div>
  );
}

const ms = (v: number) => seconds(v / 1000);

function Summary({ e, selection, cost }: { e: Explanation; selection: Selection; cost: JSX.Element }): JSX.Element {
  const what = selection.box ? 'in the box' : selection.select === 'failed' ? 'failed' : `slower than ${e.threshold_ms === undefined ? 'most' : ms(e.threshold_ms)}`;
  return (
    <div className="row wrap summary">
      <span>
        <i className="key sel" />
        <b className="num">{count(e.selection.spans)}</b> spans {what}: half take over <b className="num">{ms(e.selection.p50_ms)}</b>
      </span>
      <span>
        <i className="key base" />
        compared with <b className="num">{count(e.baseline.spans)}</b> others: half take over <b className="num">{ms(e.baseline.p50_ms)}</b>
      </span>
      <span className="grow" />
      {cost}
    </div>
  );
}

function Factors({ list, onFilter }: { list: Factor[]; onFilter: (filter: string) => void }): JSX.Element {
  return (
    <section aria-label="What sets them apart">
      <h3>What sets them apart</h3>
      {list.length === 0 ? (
        <Empty title="No attribute differs beyond chance">The selected spans look like the others. Where their time goes is on the right.</Empty>
      ) : (
        <ol className="factors">
          {list.map((f) => (
            <li key={f.attribute + f.value}>
              <div className="row">
                <span className="mono grow clip" title={`${f.attribute} = ${f.value}`}>
                  <span className="muted">{f.attribute}</span> {f.value || '(empty)'}
                </span>
                <IconButton small kind="quiet" icon="plus" label={`Only ${f.filter}`} onClick={() => onFilter(f.filter)} />
              </div>
              <Bar kind="sel" share={f.selection.share} label={`${count(f.selection.spans)} selected`} />
              <Bar kind="base" share={f.baseline.share} label={`${count(f.baseline.spans)} others`} />
              {f.same && f.same.length > 0 && (
                <div className="faint same">
                  the same spans: {f.same.slice(0, 4).map((s) => `${s.attribute} = ${s.value}`).join(', ')}
                  {f.same.length > 4 ? `, ${f.same.length - 4} more` : ''}
                </div>
              )}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Bar({ kind, share, label }: { kind: 'sel' | 'base'; share: number; label: string }): JSX.Element {
  return (
    <div className="sharebar" title={label}>
      <span className="track">
        <i className={kind} style={{ width: `${Math.min(100, share * 100)}%` }} />
      </span>
      <span className="num">{formatValue(Math.round(share * 1000) / 1000, 'ratio')}</span>
    </div>
  );
}

function TimeShares({ e }: { e: Explanation }): JSX.Element | null {
  const list = e.time.filter((t) => Math.abs(t.difference_ms) >= 0.05).slice(0, 8);
  if (list.length === 0) return null;
  const most = Math.max(...list.map((t) => Math.max(t.selection_ms, t.baseline_ms)), 0.001);
  return (
    <section aria-label="Where the time goes">
      <h3>Where the extra time goes</h3>
      <ol className="times">
        {list.map((t) => (
          <li key={t.service + t.name}>
            <div className="row">
              <span className="dot" style={{ background: `var(--s${serviceColor(t.service)})` }} />
              <span className="clip grow">
                <b>{t.service}</b> {t.name}
              </span>
              <b className="num">
                {t.difference_ms >= 0 ? '+' : '−'}
                {ms(Math.abs(t.difference_ms))}
              </b>
            </div>
            <div className="sharebar" title={`${ms(t.selection_ms)} of a selected span, ${ms(t.baseline_ms)} of another`}>
              <span className="track">
                <i className="sel" style={{ width: `${(t.selection_ms / most) * 100}%` }} />
              </span>
            </div>
            <div className="sharebar">
              <span className="track">
                <i className="base" style={{ width: `${(t.baseline_ms / most) * 100}%` }} />
              </span>
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Patterns({ e }: { e: Explanation }): JSX.Element | null {
  const logs = e.logs;
  const list = (logs?.patterns ?? []).slice(0, 6);
  if (!logs || list.length === 0) return null;
  return (
    <section aria-label="Log lines">
      <h3>Log lines of {logs.selection_traces} selected traces</h3>
      <ul className="logshares">
        {list.map((p) => (
          <li key={p.service + p.pattern}>
            <div className="row">
              <span className="tag" data-s={/error|crit|fatal/.test(p.level) ? 'bad' : /warn/.test(p.level) ? 'warn' : undefined}>
                {p.level || 'line'}
              </span>
              <b className="clip">{p.service}</b>
              <span className="grow" />
              <span className="muted num">
                in {p.selection.traces} selected, {p.baseline.traces} others
              </span>
            </div>
            {p.sample ? (
              <GoLink className="mono" to="/logs" search={{ q: logsForTrace(p.sample.trace_id, { service: p.service }), from: String(Math.floor(p.sample.time_unix_ms - 300_000)), to: String(Math.ceil(p.sample.time_unix_ms + 300_000)), via: 'Why slow' }}>
                {p.pattern}
              </GoLink>
            ) : (
              <span className="mono">{p.pattern}</span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Examples({ e }: { e: Explanation }): JSX.Element | null {
  if (e.selection.examples.length === 0) return null;
  return (
    <section aria-label="Examples">
      <h3>Slowest of the selection</h3>
      <ul className="examples">
        {e.selection.examples.map((x) => (
          <li key={x.trace_id + x.span_id} className="row">
            <GoLink className="clip grow" to={`/trace/${x.trace_id}`} search={{ span: x.span_id, via: 'Why slow' }} data-testid="example">
              <b>{x.service}</b> {x.name}
            </GoLink>
            {x.failed && (
              <span className="tag" data-s="bad">
                failed
              </span>
            )}
            <span className="num">{ms(x.duration_ms)}</span>
            <span className="muted num">{formatTime(x.start_unix_ms, { date: false })}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
