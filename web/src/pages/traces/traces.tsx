/** Traces: the list is on the screen from the start; every point leads to its trace. */
import './traces.css';
import '../../viz/chart.css';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useKeys } from '@/app/keys';
import { useTime } from '@/app/time';
import { GoLink, useUrl } from '@/app/url';
import { boxText, parseBox } from '@/core/api/explain';
import type { Box, Selection } from '@/core/api/explain';
import { durationHeatmap, searchTraces, traceTagValues } from '@/core/api/tempo';
import type { TraceSummary } from '@/core/api/tempo';
import { contextOf, contextTraces } from '@/core/context/context';
import { rememberQuery } from '@/core/recent';
import { serviceColor } from '@/core/palette/palette';
import { emptyForm, formatForm, isDuration, parseForm, withCondition, withTraceDuration } from '@/core/trace/builder';
import type { Form } from '@/core/trace/builder';
import { formatTime, niceStep } from '@/core/time/range';
import { count, formatValue, seconds } from '@/core/units/units';
import { one } from '@/core/url/search';
import { TraceqlEditor } from '@/query/traceql';
import { Icon } from '@/ui/icons';
import { Button, CostLine, Empty, ErrorBox, IconButton, Loading, LoadingBar, Segmented, Tabs } from '@/ui/kit';
import { Scatter } from '@/viz/scatter';
import { Compare } from './compare';
import { TraceCost } from './cost';
import { RedStrip } from './red';

const limits = [50, 200, 500, 1000];

export default function TracesPage(): JSX.Element {
  const { search, set, go } = useUrl();
  const time = useTime();
  const query = one(search['q']) ?? contextTraces(contextOf(search)) ?? '{}';
  const limit = Number(one(search['limit']) ?? 200) || 200;
  const [draft, setDraft] = useState(query);
  const [hovered, setHovered] = useState<string>();
  useEffect(() => setDraft(query), [query]);
  const q = useQuery({
    queryKey: ['traces', query, time.range.from, time.range.to, limit],
    queryFn: ({ signal }) => searchTraces(query, time.range, limit, signal),
    placeholderData: keepPreviousData,
  });
  const heatStep = niceStep(time.range, 90, 1);
  const heat = useQuery({
    queryKey: ['heat', query, time.range.from, time.range.to, heatStep],
    queryFn: ({ signal }) => durationHeatmap(query, time.range, heatStep, signal),
    placeholderData: keepPreviousData,
    // Not every search can be counted, for example one that ends in an aggregate; the points remain.
    retry: false,
    enabled: parseForm(query) !== undefined,
  });
  const run = (text: string) => {
    rememberQuery('/traces', text);
    if (text === query) time.refresh();
    else set({ q: text });
  };
  const result = q.error ? undefined : q.data;
  const traces = result?.traces ?? [];
  const open = (t: TraceSummary) => go(`/trace/${t.traceID.padStart(32, '0')}`, { via: one(search['via']) });
  const box = useMemo(() => parseBox(one(search['box'])), [search['box']]);
  const narrow = (b: Box) => {
    const range = { from: String(Math.round(b.from)), to: String(Math.round(b.to)) };
    set({ ...range, box: undefined, ...(b.min !== undefined && b.max !== undefined ? { q: withTraceDuration(query, b.min, b.max) } : {}) });
  };
  const tab = one(search['tab']);
  const compare = tab === 'compare';
  const priced = tab === 'explain';
  const plain = parseForm(query) !== undefined;
  // A search for everything is about whole traces: their root spans.
  const base = /^\s*\{\s*\}\s*$/.test(query) ? '{ nestedSetParent < 0 }' : query;
  const failed = one(search['select']) === 'failed';
  const selection: Selection = box ? { select: '', box } : { select: failed ? 'failed' : 'slow' };
  return (
    <div className="page">
      <div className="row" style={{ alignItems: 'flex-start' }}>
        <TraceqlEditor label="TraceQL query" hint='TraceQL, for example { resource.service.name = "checkout" && duration > 500ms }' value={draft} range={time.range} onChange={setDraft} onRun={run} error={q.error} />
        <Button kind="primary" icon="play" style={{ height: 32 }} onClick={() => run(draft)} data-testid="run">
          Run
        </Button>
      </div>
      <Builder query={query} onQuery={run} />
      {q.error ? <ErrorBox error={q.error} query={query} onRetry={time.refresh} /> : null}
      {plain && <RedStrip base={base} />}
      <section className="panel" aria-label="Durations">
        <LoadingBar on={q.isFetching} />
        <header>
          <h2>Distribution</h2>
          {box ? (
            <span className="row boxbar" data-testid="box">
              <span className="chip">
                <b className="num">
                  {formatTime(box.from, { date: false })} – {formatTime(box.to, { date: false })}
                  {box.min !== undefined && box.max !== undefined && `, ${seconds(box.min / 1000)} – ${seconds(box.max / 1000)}`}
                </b>
              </span>
              <Button small kind="primary" onClick={() => set({ tab: 'compare' })}>
                Why these?
              </Button>
              <Button small onClick={() => narrow(box)}>
                Narrow to them
              </Button>
              <IconButton small kind="quiet" icon="x" label="Forget the selection" onClick={() => set({ box: undefined })} />
            </span>
          ) : (
            <span className="faint clip">{query === '{}' ? 'all root spans' : 'all matching spans'}; points are the traces below. Drag a box to ask why, or to narrow.</span>
          )}
          <span className="grow" />
          <label className="row" style={{ gap: 6 }}>
            <span className="muted" style={{ fontSize: 11.5 }}>
              At most
            </span>
            <select className="select" style={{ height: 24 }} value={String(limit)} onChange={(e) => set({ limit: e.target.value === '200' ? undefined : e.target.value }, true)}>
              {limits.map((l) => (
                <option key={l} value={l}>
                  {l} traces
                </option>
              ))}
            </select>
          </label>
        </header>
        <div className={q.isPlaceholderData ? 'dim' : undefined}>
          <Scatter traces={traces} heat={heat.error || parseForm(query) === undefined ? undefined : heat.data} heatStep={heatStep} range={time.range} height={190} hovered={hovered} onHover={setHovered} onOpen={open} onSelect={(b) => set({ box: boxText(b) }, true)} chosen={box} onZoomOut={time.zoomOut} />
        </div>
      </section>
      <section className="panel" aria-label="Traces">
        <Tabs
          label="View"
          value={compare ? 'compare' : priced ? 'explain' : 'list'}
          onChange={(v) => set({ tab: v === 'list' ? undefined : v }, true)}
          tabs={[
            { id: 'list', label: `Traces${result ? ` ${count(traces.length)}${traces.length >= limit ? ' newest' : ''}` : ''}` },
            { id: 'compare', label: 'Why slow' },
            { id: 'explain', label: 'Explain' },
          ]}
          end={
            compare ? (
              !box && (
                <Segmented
                  small
                  label="What to explain"
                  value={failed ? 'failed' : 'slow'}
                  onChange={(v) => set({ select: v === 'failed' ? v : undefined }, true)}
                  options={[
                    { id: 'slow', label: 'The slowest' },
                    { id: 'failed', label: 'The failed' },
                  ]}
                />
              )
            ) : (
              !priced && result && <CostLine cost={result.cost} parts={[result.inspectedTraces !== undefined && `${count(result.inspectedTraces)} traces inspected`, result.inspectedBytes !== undefined && `${formatValue(result.inspectedBytes, 'bytes')} scanned`]} />
            )
          }
        />
        {compare ? (
          <Compare
            query={base}
            selection={selection}
            onFilter={(filter) => {
              const next = withCondition(query, filter);
              if (next) set({ q: next });
            }}
          />
        ) : priced ? (
          <TraceCost query={query} shown={q.error} />
        ) : q.isPending ? (
          <Loading what="traces" />
        ) : result && traces.length === 0 ? (
          <Empty title="No traces" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            Nothing matched between {formatTime(time.range.from)} and {formatTime(time.range.to)}.
          </Empty>
        ) : (
          <TraceTable traces={traces} hovered={hovered} onHover={setHovered} onOpen={open} />
        )}
      </section>
    </div>
  );
}

function Builder({ query, onQuery }: { query: string; onQuery: (q: string) => void }): JSX.Element {
  const { range } = useTime();
  const parsed = parseForm(query);
  const form = parsed ?? emptyForm;
  const [name, setName] = useState(form.name);
  const [min, setMin] = useState(form.minDuration);
  useEffect(() => {
    setName(form.name);
    setMin(form.minDuration);
  }, [form.name, form.minDuration]);
  const minute = Math.floor(range.from / 60_000);
  const services = useQuery({ queryKey: ['trace-services', minute], queryFn: ({ signal }) => traceTagValues('resource.service.name', range, signal), staleTime: 60_000, retry: false });
  const names = useQuery({ queryKey: ['trace-names', minute], queryFn: ({ signal }) => traceTagValues('name', range, signal), staleTime: 60_000, retry: false });
  const list = [...new Set([...(services.data ?? []).map((v) => v.value ?? ''), form.service].filter(Boolean))].sort();
  const apply = (patch: Partial<Form>) => onQuery(formatForm({ ...form, ...patch }));
  if (!parsed) {
    return (
      <div className="faint" style={{ fontSize: 11.5 }}>
        This query is more than the form can show; edit it above.
      </div>
    );
  }
  return (
    <form
      className="row wrap builder"
      aria-label="Search form"
      onSubmit={(e) => {
        e.preventDefault();
        apply({ name, minDuration: isDuration(min) ? min : '' });
      }}
    >
      <label>
        <span>Service</span>
        <select className="select" value={form.service} onChange={(e) => apply({ service: e.target.value })} data-testid="service">
          <option value="">any</option>
          {list.map((s) => (
            <option key={s}>{s}</option>
          ))}
        </select>
      </label>
      <label>
        <span>Span name</span>
        <input className="input" style={{ width: 220 }} list="span-names" placeholder="any" value={name} onChange={(e) => setName(e.target.value)} onBlur={() => name !== form.name && apply({ name })} />
        <datalist id="span-names">
          {(names.data ?? []).slice(0, 200).map((v) => (
            <option key={v.value} value={v.value} />
          ))}
        </datalist>
      </label>
      <label>
        <span>Status</span>
        <select className="select" value={form.status} onChange={(e) => apply({ status: e.target.value })}>
          <option value="">any</option>
          <option>error</option>
          <option>ok</option>
          <option>unset</option>
        </select>
      </label>
      <label>
        <span>At least</span>
        <input className="input" style={{ width: 84 }} placeholder="100ms" value={min} aria-invalid={min !== '' && !isDuration(min)} onChange={(e) => setMin(e.target.value)} onBlur={() => min !== form.minDuration && (min === '' || isDuration(min)) && apply({ minDuration: min })} />
      </label>
      {form.rest.map((r) => (
        <span key={r} className="chip">
          <b className="mono clip">{r}</b>
          <button type="button" aria-label={`Remove ${r}`} onClick={() => apply({ rest: form.rest.filter((x) => x !== r) })}>
            <Icon name="x" size={12} />
          </button>
        </span>
      ))}
      <button type="submit" hidden />
    </form>
  );
}

type SortKey = 'start' | 'durationMs' | 'spans' | 'errors';

function TraceTable({ traces, hovered, onHover, onOpen }: { traces: TraceSummary[]; hovered: string | undefined; onHover: (id: string | undefined) => void; onOpen: (t: TraceSummary) => void }): JSX.Element {
  const [sort, setSort] = useState<{ key: SortKey; up: boolean }>({ key: 'start', up: false });
  const [at, setAt] = useState(-1);
  const sorted = useMemo(() => [...traces].sort((a, b) => (sort.up ? 1 : -1) * (a[sort.key] - b[sort.key])), [traces, sort]);
  // A few very slow traces must not flatten all other bars.
  const max = useMemo(() => {
    const sortedMs = traces.map((t) => t.durationMs).sort((a, b) => a - b);
    return Math.max(1, sortedMs[Math.floor(sortedMs.length * 0.95)] ?? 1);
  }, [traces]);
  useKeys({
    j: () => setAt((i) => Math.min(sorted.length - 1, i + 1)),
    k: () => setAt((i) => Math.max(0, i - 1)),
    Enter: () => sorted[at] && onOpen(sorted[at]),
  });
  useEffect(() => onHover(sorted[at]?.traceID), [at]);
  const header = (key: SortKey, label: string) => (
    <th className="r" aria-sort={sort.key === key ? (sort.up ? 'ascending' : 'descending') : undefined}>
      <button type="button" onClick={() => setSort((o) => ({ key, up: o.key === key ? !o.up : false }))}>
        {label}
        {sort.key === key && <Icon name={sort.up ? 'up' : 'down'} size={11} />}
      </button>
    </th>
  );
  return (
    <table className="table tracelist" data-testid="trace-list">
      <thead>
        <tr>
          <th>Root</th>
          <th>Services</th>
          {header('durationMs', 'Duration')}
          {header('spans', 'Spans')}
          {header('errors', 'Errors')}
          {header('start', 'Started')}
        </tr>
      </thead>
      <tbody>
        {sorted.map((t) => (
          <tr key={t.traceID} data-hover={t.traceID === hovered || undefined} onMouseEnter={() => onHover(t.traceID)} onMouseLeave={() => onHover(undefined)} onClick={(e) => e.target instanceof HTMLElement && e.target.tagName !== 'A' && onOpen(t)}>
            <td>
              <span className="row" style={{ gap: 8 }}>
                <span className="dot" style={{ background: `var(--s${serviceColor(t.rootServiceName)})` }} />
                <b>{t.rootServiceName || '–'}</b>
                <GoLink to={`/trace/${t.traceID.padStart(32, '0')}`} className="clip">
                  {t.rootTraceName || t.traceID}
                </GoLink>
              </span>
            </td>
            <td className="muted">
              <span className="svcdots" title={t.services.join(', ')}>
                {t.services.slice(0, 10).map((s) => (
                  <i key={s} style={{ background: `var(--s${serviceColor(s)})` }} />
                ))}
                <span className="num">{t.services.length || ''}</span>
              </span>
            </td>
            <td className="r">
              <span className="durbar">
                <span style={{ width: `${Math.min(100, Math.max(1, (t.durationMs / max) * 100))}%` }} />
              </span>
              <span className="durval">{t.durationMs > 0 ? seconds(t.durationMs / 1000) : '< 1 ms'}</span>
            </td>
            <td className="r">{t.spans || '–'}</td>
            <td className="r">{t.errors > 0 ? <span className="tag" data-s="bad">{t.errors} failed</span> : <span className="faint">–</span>}</td>
            <td className="r muted">{formatTime(t.start, { ms: true })}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
