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
import { formatLogForm, parseLogForm, withPattern } from '@/core/logs/builder';
import { summarizeFields } from '@/core/logs/rows';
import { formatTime } from '@/core/time/range';
import { count, formatValue } from '@/core/units/units';
import { one } from '@/core/url/search';
import { LogqlEditor } from '@/query/logql';
import { Button, CostLine, Empty, ErrorBox, IconButton, Loading, LoadingBar, Partial, Segmented, Tabs } from '@/ui/kit';
import { Histogram } from '@/viz/histogram';
import { LogBuilder } from './builder';
import { loadColumns, saveColumns } from './columns';
import { Details } from './details';
import { LogExplain } from './explain';
import { FieldList } from './fields';
import { LogList } from './list';
import { MetricTab, MetricView } from './metric';
import { Patterns } from './patterns';
import { maxLimit, ringSize, useLines, useOlder, useTail, useVolume } from './use-logs';
import type { LinesState, Tail } from './use-logs';

export const everything = '{service_name=~".+"}';

export default function LogsPage(): JSX.Element {
  const { search, set } = useUrl();
  const time = useTime();
  const query = one(search['q']) ?? contextLogs(contextOf(search)) ?? everything;
  const live = one(search['live']) === '1' && isLogQuery(query);
  const columns = useMemo(() => columnsOf(one(search['cols']) ?? loadColumns(query)), [search['cols'], query]);
  const [mode, setMode] = useMode();
  const tab = one(search['view']) ?? 'lines';
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
  // The form runs by itself while it is filled in: an unchanged query is not asked again.
  const runForm = (q: string) => {
    setDraft(q);
    if (q !== query && !q.startsWith('{}')) set({ q });
  };
  const filter = (f: Field, include: boolean) => set({ q: addFilter(query, f.kind, f.name, f.value, include) });
  const column = (name: string) => {
    const next = columns.includes(name) ? columns.filter((c) => c !== name) : [...columns, name];
    saveColumns(query, next);
    set({ cols: next.join(',') || '-' }, true);
  };
  const fields = useMemo(() => summarizeFields(lines.rows.slice(0, 300), 20), [lines.rows]);
  const form = mode === 'builder' ? parseLogForm(draft) : undefined;

  return (
    <div className="page fill">
      <div className="row queryrow">
        {form ? (
          <LogBuilder form={form} fields={fields.filter((f) => f.kind !== 'stream').map((f) => ({ name: f.name, values: f.values.map((v) => v.value) }))} onChange={(f) => setDraft(formatLogForm(f))} onRun={(f) => runForm(formatLogForm(f))} />
        ) : (
        <LogqlEditor label="LogQL query" hint='LogQL, for example {service_name="checkout"} |= "error" | json' value={draft} range={time.range} onChange={setDraft} onRun={run} error={lines.error} />
        )}
        <Button kind="primary" icon="play" style={{ height: 32 }} onClick={() => run(draft)} data-testid="run">
          Run
        </Button>
        <Button icon="live" style={{ height: 32 }} pressed={live} disabled={!isLogQuery(query)} onClick={() => set({ live: live ? undefined : '1' }, true)} data-testid="live">
          Live
        </Button>
        <Segmented
          label="How to write the query"
          value={mode}
          onChange={(m) => setMode(m as Mode)}
          options={[
            { id: 'builder', label: 'Builder' },
            { id: 'code', label: 'Code' },
          ]}
        />
      </div>
      {mode === 'builder' && !form && <div className="faint note">This query is more than the form can show; it stays code.</div>}
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
        <section className="panel" aria-label="Result">
          <Tabs
            label="View"
            value={tab === 'explain' ? tab : 'chart'}
            onChange={(v) => set({ view: v === 'chart' ? undefined : v }, true)}
            tabs={[
              { id: 'chart', label: 'Chart' },
              { id: 'explain', label: 'Explain' },
            ]}
          />
          {tab === 'explain' ? <LogExplain query={query} limit={limit} step={lines.step} /> : <MetricView query={query} lines={lines} />}
        </section>
      ) : (
        <section className="panel lines" aria-label="Lines">
          {!live && (
            <Tabs
              label="View"
              value={tab}
              onChange={(v) => set({ view: v === 'lines' ? undefined : v }, true)}
              tabs={[
                { id: 'lines', label: 'Lines' },
                { id: 'patterns', label: 'Patterns' },
                { id: 'metric', label: 'Metric' },
                { id: 'explain', label: 'Explain' },
              ]}
            />
          )}
          {tab === 'patterns' && !live ? (
            <Patterns query={query} onPattern={(p, include) => set({ q: withPattern(query, p, include), view: undefined })} />
          ) : tab === 'metric' && !live ? (
            <MetricTab query={query} names={fields.map((f) => f.name)} onQuery={(q) => set({ q, view: undefined })} />
          ) : tab === 'explain' && !live ? (
            <LogExplain query={query} limit={limit} step={lines.step} />
          ) : (
            <Lines lines={lines} live={live} tail={tail} columns={columns} total={volume.total} limit={limit} onMore={() => setLimit(maxLimit)} onFilter={filter} onColumn={column} />
          )}
        </section>
      )}
    </div>
  );
}

const columnsOf = (text: string) => text.split(',').filter((c) => c !== '' && c !== '-');

type Mode = 'code' | 'builder';
const modeKey = 'pharos.logMode';

function useMode(): [Mode, (m: Mode) => void] {
  const [mode, setMode] = useState<Mode>(() => {
    try {
      return localStorage.getItem(modeKey) === 'builder' ? 'builder' : 'code';
    } catch {
      return 'code';
    }
  });
  const choose = (m: Mode) => {
    setMode(m);
    try {
      localStorage.setItem(modeKey, m);
    } catch {
      // The choice lasts for this page then.
    }
  };
  return [mode, choose];
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
  const older = useOlder(lines);
  const chosen = one(search['sel']);
  const setSelected = (r: LogRow | undefined) => set({ sel: r?.ns }, true);
  const [paused, setPaused] = useState<{ rows: readonly LogRow[]; total: number }>();
  const scroll = useRef<HTMLDivElement>(null);
  useEffect(() => setPaused(undefined), [live]);
  const rows = live ? (paused?.rows ?? tail.rows) : older.rows;
  const selected = useMemo(() => (chosen ? rows.find((r) => r.ns === chosen) : undefined), [rows, chosen]);

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
    !live && rows.length >= limit && !older.done ? (
      <div className="row" style={{ padding: 10, justifyContent: 'center' }}>
        <span className="muted">The newest {count(rows.length)} lines are shown.</span>
        {older.error ? <span className="bad">{older.error.message}</span> : null}
        <Button small disabled={older.loading} onClick={() => (limit < maxLimit ? onMore() : older.load())}>
          {older.loading ? 'Loading…' : limit < maxLimit ? `Show ${count(maxLimit)}` : `Load ${count(maxLimit)} older`}
        </Button>
      </div>
    ) : undefined;

  return (
    <>
      <LoadingBar on={(lines.fetching || older.loading) && !live} />
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
    </>
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
