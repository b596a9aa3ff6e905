/** Logs: ask, see the volume, read, follow live. */
import './logs.css';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { useKeys } from '@/app/keys';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import { contextLogs, contextOf } from '@/core/context/context';
import { rememberQuery } from '@/core/recent';
import { addFilter, isLogQuery } from '@/core/logs/logql';
import type { Field, LogRow } from '@/core/logs/rows';
import { assign, labelKey } from '@/core/palette/palette';
import { seriesNames } from '@/core/metrics/promql';
import { formatTime } from '@/core/time/range';
import { count, formatValue, guessUnit } from '@/core/units/units';
import { one } from '@/core/url/search';
import { LogqlEditor } from '@/query/logql';
import { Button, CostLine, Empty, ErrorBox, IconButton, Loading, LoadingBar, Partial } from '@/ui/kit';
import { TimeChart } from '@/viz/chart';
import { Histogram } from '@/viz/histogram';
import { Legend } from '../metrics/legend';
import { Details } from './details';
import { FieldList } from './fields';
import { LogList } from './list';
import { ringSize, useLines, useTail, useVolume } from './use-logs';
import type { LinesState, Tail } from './use-logs';

export const everything = '{service_name=~".+"}';
const maxLimit = 5000;

export default function LogsPage(): JSX.Element {
  const { search, set } = useUrl();
  const time = useTime();
  const query = one(search['q']) ?? contextLogs(contextOf(search)) ?? everything;
  const live = one(search['live']) === '1' && isLogQuery(query);
  const columns = useMemo(() => (one(search['cols']) ?? '').split(',').filter(Boolean), [search['cols']]);
  const [draft, setDraft] = useState(query);
  const [limit, setLimit] = useState(1000);
  useEffect(() => setDraft(query), [query]);
  useEffect(() => setLimit(1000), [query, time.range]);

  const lines = useLines(query, time.range, limit, !live);
  const volume = useVolume(query, time.range, !live, lines.rows);
  const tail = useTail(query, live);

  const run = (q: string) => {
    rememberQuery('/logs', q);
    if (q === query) time.refresh();
    else set({ q });
  };
  const filter = (f: Field, include: boolean) => set({ q: addFilter(query, f.kind, f.name, f.value, include) });
  const column = (name: string) => {
    const next = columns.includes(name) ? columns.filter((c) => c !== name) : [...columns, name];
    set({ cols: next.join(',') || undefined }, true);
  };

  return (
    <div className="page fill">
      <div className="row" style={{ alignItems: 'flex-start' }}>
        <LogqlEditor label="LogQL query" hint='LogQL, for example {service_name="checkout"} |= "error" | json' value={draft} range={time.range} onChange={setDraft} onRun={run} error={lines.error} />
        <Button kind="primary" icon="play" style={{ height: 32 }} onClick={() => run(draft)} data-testid="run">
          Run
        </Button>
        <Button icon="live" style={{ height: 32 }} pressed={live} disabled={!isLogQuery(query)} onClick={() => set({ live: live ? undefined : '1' }, true)} data-testid="live">
          Live
        </Button>
      </div>
      {lines.error && !live ? <ErrorBox error={lines.error} query={query} onRetry={time.refresh} /> : null}
      {!live && isLogQuery(query) && (
        <section className="panel volume" aria-label="Volume by level">
          <LoadingBar on={volume.fetching || lines.fetching} />
          {volume.error ? (
            <div className="faint" style={{ padding: 10 }}>
              The volume of this query cannot be counted: {volume.error instanceof Error ? volume.error.message : ''}
            </div>
          ) : (
            <Histogram stacks={volume.stacks} range={time.range} step={volume.step} height={104} label={`Lines by level, ${count(Math.round(volume.total))} in all`} onSelect={time.zoomTo} onZoomOut={time.zoomOut} />
          )}
          <div className="levels">
            {volume.stacks.map((s) => (
              <span key={s.name}>
                <i style={{ background: s.color }} />
                {s.name} <b className="num">{formatValue([...s.points.values()].reduce((a, b) => a + b, 0))}</b>
              </span>
            ))}
          </div>
        </section>
      )}
      {lines.result?.kind === 'metric' && !live ? (
        <MetricView query={query} lines={lines} />
      ) : (
        <Lines lines={lines} live={live} tail={tail} columns={columns} total={volume.total} limit={limit} onMore={() => setLimit(maxLimit)} onFilter={filter} onColumn={column} />
      )}
    </div>
  );
}

interface LinesProps {
  lines: LinesState;
  live: boolean;
  tail: Tail;
  columns: string[];
  total: number;
  limit: number;
  onMore: () => void;
  onFilter: (f: Field, include: boolean) => void;
  onColumn: (name: string) => void;
}

function Lines({ lines, live, tail, columns, total, limit, onMore, onFilter, onColumn }: LinesProps): JSX.Element {
  const { search, set } = useUrl();
  const time = useTime();
  const wrap = one(search['wrap']) === '1';
  const json = one(search['v']) === 'json';
  const [fieldsOpen, setFieldsOpen] = useState(true);
  const [selected, setSelected] = useState<LogRow>();
  const [paused, setPaused] = useState<{ rows: readonly LogRow[]; total: number }>();
  const scroll = useRef<HTMLDivElement>(null);
  useEffect(() => setPaused(undefined), [live]);
  const rows = live ? (paused?.rows ?? tail.rows) : lines.rows;

  const move = (by: number) => {
    const i = rows.findIndex((r) => r.id === selected?.id);
    const next = rows[Math.max(0, Math.min(rows.length - 1, i === -1 ? 0 : i + by))];
    if (next) setSelected(next);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    Escape: () => setSelected(undefined),
    e: () => set({ wrap: wrap ? undefined : '1' }, true),
    p: () => live && setPaused((p) => (p ? undefined : { rows: tail.rows, total: tail.total })),
  });

  const stats = lines.result?.stats;
  const pending = !live && !lines.result && !lines.error;
  const footer =
    !live && rows.length >= limit && limit < maxLimit ? (
      <div className="row" style={{ padding: 10, justifyContent: 'center' }}>
        <span className="muted">The newest {count(limit)} lines are shown.</span>
        <Button small onClick={onMore}>
          Show {count(maxLimit)}
        </Button>
      </div>
    ) : undefined;

  return (
    <section className="panel lines" aria-label="Lines">
      <LoadingBar on={lines.fetching && !live} />
      <div className="row toolbar">
        <Button small icon="filter" pressed={fieldsOpen} onClick={() => setFieldsOpen(!fieldsOpen)}>
          Fields
        </Button>
        <Button small icon="wrap" pressed={wrap} onClick={() => set({ wrap: wrap ? undefined : '1' }, true)}>
          Wrap
        </Button>
        <Button small icon="braces" pressed={json} onClick={() => set({ v: json ? undefined : 'json' }, true)}>
          JSON
        </Button>
        {columns.map((c) => (
          <span key={c} className="chip">
            <b className="clip">{c}</b>
            <button type="button" aria-label={`Remove column ${c}`} onClick={() => onColumn(c)}>
              ×
            </button>
          </span>
        ))}
        <span className="grow" />
        {live ? (
          <LiveStatus tail={tail} paused={paused !== undefined} onPause={() => setPaused(paused ? undefined : { rows: tail.rows, total: tail.total })} />
        ) : (
          lines.result && (
            <CostLine
              cost={lines.result.cost}
              parts={[
                `${count(rows.length)}${total > rows.length ? ` of ${formatValue(total)}` : ''} lines`,
                stats?.bytes !== undefined && `${formatValue(stats.bytes, 'bytes')} scanned`,
                stats?.lines !== undefined && `${formatValue(stats.lines)} lines read`,
              ]}
            />
          )
        )}
      </div>
      {!live && lines.result && lines.result.warnings.length > 0 && <Partial warnings={lines.result.warnings} />}
      <div className="linesbody" data-fields={fieldsOpen || undefined} data-details={selected ? true : undefined}>
        {fieldsOpen && <FieldList rows={rows} columns={columns} onFilter={onFilter} onColumn={onColumn} />}
        <div className={`listwrap${lines.stale && !live ? ' dim' : ''}`}>
          {pending ? (
            <Loading what="lines" />
          ) : rows.length === 0 && !lines.error ? (
            live ? (
              <Empty title="Waiting for lines">{tail.state === 'error' ? tail.message || 'The server closed the stream.' : 'New lines appear here as they arrive.'}</Empty>
            ) : (
              <Empty title="No lines" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
                Nothing matched between {formatTime(time.range.from)} and {formatTime(time.range.to)}.
              </Empty>
            )
          ) : (
            <LogList
              rows={rows}
              columns={columns}
              wrap={wrap}
              json={json}
              selected={selected?.id}
              onSelect={(r) => setSelected(r.id === selected?.id ? undefined : r)}
              follow={live && !paused}
              {...(live ? { onScrolledUp: () => setPaused((p) => p ?? { rows: tail.rows, total: tail.total }) } : {})}
              footer={footer}
              scrollRef={scroll}
            />
          )}
          {live && paused && (
            <button type="button" className="btn primary newlines" onClick={() => setPaused(undefined)} data-testid="resume">
              {tail.total - paused.total > 0 ? `${count(tail.total - paused.total)} new` : 'Paused'} · resume
            </button>
          )}
        </div>
        {selected && <Details row={selected} columns={columns} onFilter={onFilter} onColumn={onColumn} onClose={() => setSelected(undefined)} />}
      </div>
    </section>
  );
}

function LiveStatus({ tail, paused, onPause }: { tail: Tail; paused: boolean; onPause: () => void }): JSX.Element {
  const evicted = Math.max(0, tail.total - ringSize);
  return (
    <div className="row" data-testid="live-status">
      <span className="dot" data-s={tail.state === 'open' ? 'ok' : tail.state === 'error' ? 'bad' : 'warn'} />
      <span className="cost">
        <span>{paused ? 'Paused' : tail.state === 'open' ? 'Live' : tail.state === 'error' ? 'Stopped' : 'Connecting…'}</span>
        <span>{formatValue(tail.rate, 'perSecond')}</span>
        <span>{count(tail.total)} received</span>
        {evicted > 0 && <span>{count(evicted)} scrolled out</span>}
        <span data-testid="dropped">{count(tail.dropped)} dropped</span>
      </span>
      {tail.message && <span className="faint">{tail.message}</span>}
      <IconButton small icon={paused ? 'play' : 'pause'} label={paused ? 'Resume' : 'Pause'} hint="p" onClick={onPause} />
    </div>
  );
}

function MetricView({ query, lines }: { query: string; lines: LinesState }): JSX.Element {
  const time = useTime();
  const [shown, setShown] = useState<ReadonlySet<string>>();
  const result = lines.result;
  const series = useMemo(() => {
    if (result?.kind !== 'metric') return [];
    const names = seriesNames(result.series.map((s) => s.labels));
    const keys = result.series.map((s) => labelKey(s.labels));
    const colors = assign(keys);
    return result.series.map((s, i) => ({ ...s, key: keys[i]!, name: names[i]!, color: colors[i]!, hidden: Boolean(shown) && !shown!.has(keys[i]!) }));
  }, [result, shown]);
  const unit = /bytes_rate/.test(query) ? ('Bps' as const) : /bytes_over_time/.test(query) ? ('bytes' as const) : guessUnit(query);
  return (
    <section className="panel" aria-label="Result">
      <LoadingBar on={lines.fetching} />
      <div className="row toolbar">
        <span className="grow" />
        {result && <CostLine cost={result.cost} parts={[`${count(series.length)} series`, result.stats.bytes !== undefined && `${formatValue(result.stats.bytes, 'bytes')} scanned`]} />}
      </div>
      <div style={{ padding: 10, overflow: 'auto' }}>
        {series.length === 0 ? (
          <Empty title="No data points">No line matched in this time range.</Empty>
        ) : (
          <>
            <TimeChart series={series} range={time.range} step={lines.step} unit={unit} height={320} label={`Chart of ${query}`} onZoom={time.zoomTo} onZoomOut={time.zoomOut} />
            <Legend series={series} unit={unit} shown={shown} onToggle={(key) => setShown((o) => (o?.has(key) ? undefined : new Set([key])))} via="logs" />
          </>
        )}
      </div>
    </section>
  );
}
