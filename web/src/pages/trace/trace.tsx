/** One trace: header, minimap, waterfall, and the way to its logs and metrics. */
import './trace.css';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useKeys } from '@/app/keys';
import { useServiceLabel } from '@/app/queries';
import { useTime } from '@/app/time';
import { GoLink, useUrl } from '@/app/url';
import { fetchTrace } from '@/core/api/tempo';
import type { TraceReply } from '@/core/api/tempo';
import { around, logsForTrace, metricMatcher, metricsForSpan } from '@/core/context/correlate';
import { serviceColor } from '@/core/palette/palette';
import { formatTime } from '@/core/time/range';
import { kindName } from '@/core/trace/otlp';
import { bottleneck, buildTree, deepestFailure, findSpans, visibleRows } from '@/core/trace/tree';
import type { TraceTree } from '@/core/trace/tree';
import { count, seconds } from '@/core/units/units';
import { one } from '@/core/url/search';
import { Icon } from '@/ui/icons';
import { Button, CopyButton, CostLine, Empty, ErrorBox, IconButton, Loading, Partial, Tabs } from '@/ui/kit';
import { Flame } from './flame';
import { Minimap } from './minimap';
import type { Window } from './minimap';
import { SpanDrawer } from './span';
import { SpansTable } from './spans-table';
import { Waterfall } from './waterfall';

const TraceGraph = lazy(() => import('./graph'));

export default function TracePage(): JSX.Element {
  const { id } = useParams({ strict: false }) as { id: string };
  const time = useTime();
  const q = useQuery({ queryKey: ['trace', id], queryFn: ({ signal }) => fetchTrace(id, signal), staleTime: 30_000 });
  const tree = useMemo(() => (q.data ? buildTree(q.data.trace) : undefined), [q.data]);
  if (q.error) {
    return (
      <div className="page">
        <ErrorBox error={q.error} onRetry={time.refresh} />
      </div>
    );
  }
  if (!q.data || !tree) return <Loading what="the trace" />;
  if (tree.size === 0) {
    return (
      <Empty title="There is no such trace" action={<Button icon="refresh" onClick={() => void q.refetch()}>Look again</Button>}>
        No span of {id} is stored. It may not have arrived yet, may have been sampled away, or may be older than the retention.
      </Empty>
    );
  }
  return <Trace key={tree.id} reply={q.data} tree={tree} />;
}

function Trace({ reply, tree }: { reply: TraceReply; tree: TraceTree }): JSX.Element {
  const { search, set } = useUrl();
  const view = one(search['view']) ?? 'waterfall';
  const spanParam = one(search['span']);
  const startMs = Number(tree.startNs / 1000n) / 1000;
  const selected = useMemo(() => (spanParam ? tree.spanId.indexOf(spanParam) : -1), [tree, spanParam]);
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const [win, setWin] = useState<Window>([0, Math.max(tree.durationMs, 0.001)]);
  const [find, setFind] = useState('');
  const [critical, setCritical] = useState(true);
  const found = useMemo(() => findSpans(tree, find), [tree, find]);
  const matches = useMemo(() => new Set(found), [found]);
  const rows = useMemo(() => visibleRows(tree, collapsed), [tree, collapsed]);

  const select = useCallback((row: number) => set({ span: row >= 0 ? tree.spanId[row] : undefined }, true), [set, tree]);
  const toggle = useCallback((row: number) => {
    setCollapsed((old) => {
      const next = new Set(old);
      if (!next.delete(row)) next.add(row);
      return next;
    });
  }, []);
  const step = (by: number) => {
    const list = view === 'waterfall' ? rows : undefined;
    if (!list) return;
    const i = list.indexOf(selected);
    select(list[Math.max(0, Math.min(list.length - 1, i === -1 ? 0 : i + by))]!);
  };
  const nextMatch = (by: number) => {
    if (found.length === 0) return;
    const i = found.indexOf(selected);
    const row = found[(i + by + found.length) % found.length] ?? found[0]!;
    // A match inside a collapsed branch opens it.
    setCollapsed((old) => {
      const next = new Set(old);
      for (let p = tree.parent[row]!; p >= 0; p = tree.parent[p]!) next.delete(p);
      return next.size === old.size ? old : next;
    });
    select(row);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    e: () => selected >= 0 && tree.descendants[selected]! > 0 && toggle(selected),
    Escape: () => select(-1),
    n: () => nextMatch(1),
    N: () => nextMatch(-1),
    '/': () => document.querySelector<HTMLInputElement>('#find-span')?.focus(),
  });

  const warnings = [
    ...(reply.partial ? [reply.partial] : []),
    ...(tree.orphans > 0 ? [`${count(tree.orphans)} spans refer to a parent that is not stored; they are shown at the top level`] : []),
  ];
  return (
    <div className="page fill">
      <Header tree={tree} startMs={startMs} reply={reply} onSelect={select} />
      <Partial warnings={warnings} />
      <section className="panel tracebody" aria-label="Trace">
        <Tabs
          label="View"
          value={view}
          onChange={(v) => set({ view: v === 'waterfall' ? undefined : v }, true)}
          tabs={[
            { id: 'waterfall', label: 'Waterfall' },
            { id: 'flame', label: 'Flame' },
            { id: 'spans', label: 'Spans table' },
            { id: 'graph', label: 'Graph' },
          ]}
          end={
            <>
              {view === 'waterfall' && (
                <>
                  <Button small pressed={critical} onClick={() => setCritical(!critical)}>
                    Critical path
                  </Button>
                  <Button small onClick={() => setCollapsed(collapsed.size > 0 ? new Set() : deepRows(tree))}>
                    {collapsed.size > 0 ? 'Expand all' : 'Collapse'}
                  </Button>
                </>
              )}
              <span className="findbox">
                <Icon name="search" size={13} />
                <input
                  id="find-span"
                  className="input"
                  placeholder="Find: name, attribute, error"
                  aria-label="Find spans"
                  value={find}
                  onChange={(e) => setFind(e.target.value)}
                  onKeyDown={(e) => {
                    if (e.key === 'Enter') nextMatch(e.shiftKey ? -1 : 1);
                    if (e.key === 'Escape') {
                      setFind('');
                      e.currentTarget.blur();
                    }
                  }}
                />
                {find && (
                  <>
                    <span className="faint num" aria-live="polite">
                      {found.length}
                    </span>
                    <IconButton small kind="quiet" icon="down" label="Next match" onClick={() => nextMatch(1)} />
                  </>
                )}
              </span>
            </>
          }
        />
        <div className="tracegrid" data-drawer={selected >= 0 || undefined}>
          <div className="tracemain">
            {view === 'waterfall' ? (
              <>
                <Minimap tree={tree} view={win} onView={setWin} />
                <Waterfall tree={tree} rows={rows} collapsed={collapsed} view={win} selected={selected} matches={matches} critical={critical} onSelect={select} onToggle={toggle} />
              </>
            ) : view === 'flame' ? (
              <Flame tree={tree} matches={matches} selected={selected} onSelect={select} />
            ) : view === 'graph' ? (
              <Suspense fallback={<Loading what="the graph" />}>
                <TraceGraph tree={tree} onFind={setFind} />
              </Suspense>
            ) : (
              <SpansTable tree={tree} matches={matches} selected={selected} onSelect={select} />
            )}
          </div>
          {selected >= 0 && <SpanDrawer tree={tree} row={selected} startMs={startMs} onClose={() => select(-1)} />}
        </div>
      </section>
    </div>
  );
}

/** Spans at the second level and below that have children: what "Collapse" folds. */
function deepRows(t: TraceTree): ReadonlySet<number> {
  const out = new Set<number>();
  for (let r = 0; r < t.size; r++) if (t.depth[r]! >= 1 && t.descendants[r]! > 0) out.add(r);
  return out;
}

/** The shortest way to the span to look at: where the trace waited longest, and the first failure. */
function Bottleneck({ tree, onSelect }: { tree: TraceTree; onSelect: (row: number) => void }): JSX.Element | null {
  const row = useMemo(() => bottleneck(tree), [tree]);
  const failed = useMemo(() => deepestFailure(tree), [tree]);
  const share = row >= 0 && tree.durationMs > 0 ? tree.self[row]! / tree.durationMs : 0;
  const name = (r: number) => `${tree.services[tree.service[r]!]} ${tree.name[r]}`;
  return (
    <>
      {tree.size > 1 && share >= 0.2 && (
        <button type="button" className="btn small" onClick={() => onSelect(row)} data-testid="bottleneck">
          Most time: {name(row)} <b className="num">{Math.round(share * 100)}%</b>
        </button>
      )}
      {failed >= 0 && (
        <button type="button" className="btn small danger" onClick={() => onSelect(failed)} data-testid="failure">
          Failed first: {name(failed)}
        </button>
      )}
    </>
  );
}

function Header({ tree, startMs, reply, onSelect }: { tree: TraceTree; startMs: number; reply: TraceReply; onSelect: (row: number) => void }): JSX.Element {
  const label = useServiceLabel();
  const { go } = useUrl();
  const root = tree.span[tree.root]!;
  const service = tree.services[tree.service[tree.root]!]!;
  const via = `trace ${tree.id.slice(0, 8)}`;
  const shares = useMemo(() => {
    const self = new Float64Array(tree.services.length);
    let total = 0;
    for (let r = 0; r < tree.size; r++) {
      self[tree.service[r]!]! += tree.self[r]!;
      total += tree.self[r]!;
    }
    return tree.services.map((name, i) => ({ name, share: total > 0 ? self[i]! / total : 0 })).sort((a, b) => b.share - a.share);
  }, [tree]);
  useEffect(() => {
    document.title = `${tree.name[tree.root]} · Pharos`;
  }, [tree]);
  return (
    <header className="tracehead">
      <div className="row">
        <h2 className="clip">
          <span className="muted">{service}</span> {tree.name[tree.root]}
        </h2>
        {tree.errors > 0 && (
          <span className="tag" data-s="bad">
            {count(tree.errors)} failed
          </span>
        )}
        <span className="grow" />
        <GoLink className="btn small" to="/logs" search={{ q: logsForTrace(tree.id), ...around(startMs, startMs + tree.durationMs), via }} data-testid="logs-for-trace">
          Logs
        </GoLink>
        <GoLink className="btn small" to="/explore/metrics" search={{ ...metricsForSpan(kindName(root.kind), (root.attributes ?? []).map((a) => a.key), metricMatcher(service, label)), ...around(startMs, startMs + tree.durationMs), via }}>
          Metrics
        </GoLink>
        <CopyButton text={tree.id} label="Copy trace id" small>
          id
        </CopyButton>
        <CopyButton text={() => JSON.stringify(reply.trace, null, 2)} label="Copy trace as JSON" small>
          JSON
        </CopyButton>
      </div>
      <div className="row wrap facts-line num">
        <b>{seconds(tree.durationMs / 1000)}</b>
        <button type="button" className="link" title="Show the time around this trace" onClick={() => go('/traces', { ...around(startMs, startMs + tree.durationMs) })}>
          {formatTime(startMs, { ms: true })}
        </button>
        <span>{count(tree.size)} spans</span>
        <span>{tree.services.length} services</span>
        <span>depth {tree.depthMax + 1}</span>
        <Bottleneck tree={tree} onSelect={onSelect} />
        <span className="grow" />
        <CostLine cost={reply.cost} />
      </div>
      <div className="shares" role="img" aria-label={`Time by service: ${shares.map((s) => `${s.name} ${Math.round(s.share * 100)}%`).join(', ')}`}>
        {shares.map((s) => (
          <i key={s.name} style={{ width: `${s.share * 100}%`, background: `var(--s${serviceColor(s.name)})` }} />
        ))}
      </div>
      <div className="row wrap legendline">
        {shares.slice(0, 10).map((s) => (
          <span key={s.name}>
            <i style={{ background: `var(--s${serviceColor(s.name)})` }} />
            {s.name} <span className="faint num">{Math.round(s.share * 100)}%</span>
          </span>
        ))}
      </div>
    </header>
  );
}
