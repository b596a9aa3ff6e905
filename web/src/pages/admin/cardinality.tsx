/** Cardinality: which names and values make the most series, streams and attributes, down to the single value. */
import { useQueries, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { useTime } from '@/app/time';
import { GoLink, useUrl } from '@/app/url';
import { demoteStreamLabel, dropAttribute, dropLabel, dropMetric, dropPair, dropStream } from '@/core/admin/rules';
import { logStats, logVolume, lokiLabels, lokiLabelValues } from '@/core/api/loki';
import { cardinality, cardinalityChange, escapeString, hasYesterday, labelNames, queryInstant, unusedMetrics } from '@/core/api/prometheus';
import type { NameCount } from '@/core/api/prometheus';
import { traceMetrics, traceTags, traceTagValues } from '@/core/api/tempo';
import { selector } from '@/core/metrics/promql';
import { formatTime } from '@/core/time/range';
import type { Range } from '@/core/time/parse';
import { count, formatValue } from '@/core/units/units';
import { one } from '@/core/url/search';
import { Button, CopyButton, Empty, ErrorBox, Loading, LoadingBar, Segmented } from '@/ui/kit';

export function CardinalityTab(): JSX.Element {
  const { search, set } = useUrl();
  const of = one(search['of']) ?? 'metrics';
  return (
    <>
      <div className="row">
        <Segmented
          label="What to count"
          value={of}
          onChange={(v) => set({ of: v === 'metrics' ? undefined : v, drill: undefined, label: undefined })}
          options={[
            { id: 'metrics', label: 'Metric series' },
            { id: 'logs', label: 'Log streams' },
            { id: 'spans', label: 'Span attributes' },
          ]}
        />
        <span className="faint">{of === 'metrics' ? 'Series that exist now.' : 'In the time range above.'} Copy a rule to keep something out.</span>
      </div>
      {of === 'logs' ? <Streams /> : of === 'spans' ? <Attributes /> : <Metrics />}
    </>
  );
}

interface Row {
  name: string;
  value: number;
  /** What is written instead of the number. */
  text?: string;
  rule?: string;
  /** How much it has grown since the day before. */
  change?: number | undefined;
}

const signed = (n: number) => (n === 0 ? '–' : `${n > 0 ? '+' : '−'}${count(Math.abs(n))}`);

/** A ranked list with bars; `onOpen` leads one level down. */
function Ranked({ title, hint, rows, total, onOpen, pending, error, empty }: { title: string; hint?: ReactNode; rows: Row[]; total?: number; onOpen?: (name: string) => void; pending?: boolean; error?: unknown; empty?: string }): JSX.Element {
  const most = Math.max(1, ...rows.map((r) => r.value));
  const changes = rows.some((r) => r.change !== undefined);
  return (
    <section className="panel" aria-label={title}>
      <LoadingBar on={Boolean(pending)} />
      <header>
        <h2>{title}</h2>
        {hint && <span className="faint">{hint}</span>}
      </header>
      {error ? (
        <div className="body">
          <ErrorBox error={error} />
        </div>
      ) : rows.length === 0 ? (
        pending ? (
          <Loading what="counts" />
        ) : (
          <Empty title={empty ?? 'Nothing to count'} />
        )
      ) : (
        <table className="table ranked">
          <thead className="sr">
            <tr>
              <th>Name</th>
              <th>Count</th>
              {changes && <th>Change since yesterday</th>}
              {total ? <th>Share</th> : null}
              <th>Rule</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((r) => (
              <tr key={r.name}>
                <td className="mono clip" title={r.name} style={{ backgroundSize: `${(r.value / most) * 100}% 100%` }}>
                  {onOpen ? (
                    <button type="button" className="link" onClick={() => onOpen(r.name)}>
                      {r.name || '(empty)'}
                    </button>
                  ) : (
                    r.name || '(empty)'
                  )}
                </td>
                <td className="r">{r.text ?? count(r.value)}</td>
                {changes && (
                  <td className="r num" data-grown={(r.change ?? 0) > 0 || undefined} title="Today's against the whole day before (UTC)">
                    {r.change === undefined ? '' : signed(r.change)}
                  </td>
                )}
                {total ? <td className="r muted">{formatValue(r.value / total, 'ratio')}</td> : null}
                <td className="r">
                  {r.rule && (
                    <CopyButton text={r.rule} label={`Copy a rule that drops ${r.name}`} />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Totals({ list }: { list: [string, string][] }): JSX.Element {
  return (
    <div className="totals">
      {list.map(([k, v]) => (
        <div key={k} className="panel total">
          <span className="muted">{k}</span>
          <b className="num">{v}</b>
        </div>
      ))}
    </div>
  );
}

function Path({ root, steps }: { root: string; steps: { name: string; to: Record<string, string | undefined> }[] }): JSX.Element {
  const { set } = useUrl();
  return (
    <nav className="row drillpath" aria-label="Levels">
      <button type="button" className="link" onClick={() => set({ drill: undefined, label: undefined })}>
        {root}
      </button>
      {steps.map((s, i) => (
        <span key={s.name} className="row">
          <span className="faint">›</span>
          {i < steps.length - 1 ? (
            <button type="button" className="link mono" onClick={() => set(s.to)}>
              {s.name}
            </button>
          ) : (
            <b className="mono">{s.name}</b>
          )}
        </span>
      ))}
    </nav>
  );
}

function Metrics(): JSX.Element {
  const { search, set } = useUrl();
  const drill = one(search['drill']);
  const label = one(search['label']);
  const q = useQuery({ queryKey: ['cardinality'], queryFn: ({ signal }) => cardinality(25, signal), enabled: !drill, retry: false, meta: { clock: false } });
  const day = useQuery({ queryKey: ['cardinality-change'], queryFn: ({ signal }) => cardinalityChange(1000, signal), enabled: !drill, retry: false, meta: { clock: false } });
  if (drill) return <MetricDrill metric={drill} label={label} />;
  if (q.error) return <ErrorBox error={q.error} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="counts" />;
  const c = q.data;
  const grown = day.data && hasYesterday(day.data);
  const changeOf = (list: NameCount[] | undefined) => {
    const by = new Map((grown ? list : [])?.map((r) => [r.name, r.change]));
    return (r: NameCount): Row => ({ ...r, change: by.get(r.name) });
  };
  return (
    <>
      <Totals
        list={[
          ['Series', count(c.headStats.numSeries)],
          ['Metrics', count(c.labelValueCountByLabelName.find((l) => l.name === '__name__')?.value ?? c.seriesCountByMetricName.length)],
          ['Pairs of label and value', count(c.headStats.numLabelPairs)],
        ]}
      />
      <div className="ranks" data-testid="cardinality">
        <Ranked title="Metrics" hint={`by series${grown ? '; change since yesterday' : ''}; open one for its labels`} total={c.headStats.numSeries} rows={c.seriesCountByMetricName.map(changeOf(day.data?.seriesCountByMetricName)).map((r) => ({ ...r, rule: dropMetric(r.name) }))} onOpen={(name) => set({ drill: name })} />
        <Ranked title="Labels" hint="by distinct values" rows={c.labelValueCountByLabelName.map(changeOf(day.data?.labelValueCountByLabelName)).map((r) => (r.name === '__name__' ? r : { ...r, rule: dropLabel(r.name) }))} />
        <Ranked
          title="Labels with values"
          hint="by series"
          total={c.headStats.numSeries}
          rows={c.seriesCountByLabelValuePair.map(changeOf(day.data?.seriesCountByLabelValuePair)).map((r) => {
            const at = r.name.indexOf('=');
            return { ...r, rule: dropPair(r.name.slice(0, at), r.name.slice(at + 1)) };
          })}
        />
        <Unused series={day.data?.seriesCountByMetricName} onOpen={(name) => set({ drill: name })} />
      </div>
    </>
  );
}

const shownUnused = 25;

/** The metrics that nobody asks for, the ones with most series first. */
function Unused({ series, onOpen }: { series: NameCount[] | undefined; onOpen: (name: string) => void }): JSX.Element {
  const [all, setAll] = useState(false);
  const q = useQuery({ queryKey: ['unused-metrics'], queryFn: ({ signal }) => unusedMetrics(1000, signal), retry: false, meta: { clock: false } });
  const of = new Map(series?.map((r) => [r.name, r.value]));
  const rows = (q.data?.names ?? []).map((name) => ({ name, value: of.get(name) ?? 0, ...(of.has(name) ? {} : { text: '–' }), rule: dropMetric(name) })).sort((a, b) => b.value - a.value);
  const hint = q.data && `${count(rows.length)}${rows.length >= 1000 ? ' or more' : ''} of ${count(q.data.total)} metrics; by series of today; counted since ${formatTime(q.data.since)}`;
  return (
    <div>
      <Ranked title="Never queried" hint={hint} rows={all ? rows : rows.slice(0, shownUnused)} onOpen={onOpen} pending={q.isPending} error={q.error} empty="Every metric has been read by a query" />
      {rows.length > shownUnused && !all && (
        <Button small onClick={() => setAll(true)}>
          Show all {count(rows.length)}
        </Button>
      )}
    </div>
  );
}

const one1 = (r: { series: { values: Float64Array }[] }) => r.series[0]?.values[0] ?? 0;

/** The labels of a metric by distinct values, then the values of a label by series. */
function MetricDrill({ metric, label }: { metric: string; label: string | undefined }): JSX.Element {
  const { set } = useUrl();
  const { range } = useTime();
  const minute = Math.floor(range.to / 60_000);
  const sel = selector(metric);
  const labels = useQuery({ queryKey: ['card-labels', metric, minute], queryFn: ({ signal }) => labelNames(sel, range, signal), retry: false });
  const total = useQuery({ queryKey: ['card-total', metric, minute], queryFn: async ({ signal }) => one1(await queryInstant(`count(${sel})`, range.to, signal)), retry: false });
  const names = (labels.data ?? []).filter((n) => n !== '__name__');
  const counts = useQueries({
    queries: names.map((n) => ({
      queryKey: ['card-values', metric, n, minute],
      queryFn: async ({ signal }: { signal: AbortSignal }) => one1(await queryInstant(`count(count by (${n}) (${sel}))`, range.to, signal)),
      retry: false,
      enabled: label === undefined,
    })),
  });
  const values = useQuery({
    queryKey: ['card-top', metric, label, minute],
    queryFn: async ({ signal }) => {
      const r = await queryInstant(`topk(50, count by (${label}) (${sel}))`, range.to, signal);
      return r.series.map((s) => ({ name: s.labels[label!] ?? '', value: s.values[0] ?? 0 })).sort((a, b) => b.value - a.value);
    },
    enabled: label !== undefined,
    retry: false,
  });
  return (
    <>
      <Path root="Metrics" steps={[{ name: metric, to: { label: undefined } }, ...(label ? [{ name: label, to: {} }] : [])]} />
      <Totals list={[['Series now', total.data === undefined ? '–' : count(total.data)], ['Labels', count(names.length)]]} />
      {label ? (
        <Ranked title={`Values of ${label}`} hint="the fifty with most series" {...(total.data ? { total: total.data } : {})} rows={(values.data ?? []).map((r) => ({ ...r, rule: dropPair(label, r.name, metric) }))} pending={values.isFetching} error={values.error} empty="No series of this metric has the label now" />
      ) : (
        <Ranked
          title="Labels"
          hint="by distinct values; open one for its values"
          rows={names.map((n, i) => ({ name: n, value: counts[i]?.data ?? 0, rule: dropLabel(n) })).sort((a, b) => b.value - a.value)}
          onOpen={(n) => set({ label: n })}
          pending={labels.isFetching || counts.some((c) => c.isFetching)}
          error={labels.error}
          empty="This metric has no labels, or no series in this time range"
        />
      )}
      <div className="row">
        <GoLink className="btn small" to="/explore/metrics" search={{ q: sel, via: 'Cardinality' }}>
          Open the metric
        </GoLink>
        <CopyButton text={dropMetric(metric)} label="Copy a rule that drops the metric">
          Rule that drops it
        </CopyButton>
      </div>
    </>
  );
}

function Streams(): JSX.Element {
  const { search, set } = useUrl();
  const { range } = useTime();
  const label = one(search['label']);
  const minute = [Math.floor(range.from / 60_000), Math.floor(range.to / 60_000)];
  const labels = useQuery({ queryKey: ['card-loki', ...minute], queryFn: ({ signal }) => lokiLabels(range, signal), retry: false });
  const names = (labels.data ?? []).slice(0, 60);
  const counts = useQueries({
    queries: names.map((n) => ({ queryKey: ['card-loki-values', n, ...minute], queryFn: async ({ signal }: { signal: AbortSignal }) => (await lokiLabelValues(n, range, undefined, signal)).length, retry: false, enabled: label === undefined })),
  });
  const stats = useQuery({ queryKey: ['card-loki-stats', ...minute, names[0]], queryFn: ({ signal }) => logStats(`{${names.includes('service_name') ? 'service_name' : names[0]}=~".+"}`, range, signal), enabled: names.length > 0, retry: false });
  const volume = useQuery({ queryKey: ['card-loki-volume', label, ...minute], queryFn: ({ signal }) => logVolume(label!, range, 100, signal), enabled: label !== undefined, retry: false });
  const total = (volume.data ?? []).reduce((n, v) => n + v.bytes, 0);
  return (
    <>
      {label && <Path root="Log streams" steps={[{ name: label, to: {} }]} />}
      <Totals list={[['Streams', stats.data ? count(stats.data.streams) : '–'], ['Lines', stats.data ? formatValue(stats.data.entries) : '–'], ['Bytes', stats.data ? formatValue(stats.data.bytes, 'bytes') : '–'], ['Stream labels', labels.data ? count(labels.data.length) : '–']]} />
      {label ? (
        <Ranked title={`Values of ${label}`} hint="by bytes of their lines" total={total} rows={(volume.data ?? []).map((v) => ({ name: v.value, value: v.bytes, text: formatValue(v.bytes, 'bytes'), rule: dropStream(label, v.value) }))} pending={volume.isFetching} error={volume.error} empty="No stream has the label in this time range" />
      ) : (
        <Ranked
          title="Stream labels"
          hint="by distinct values; every combination is a stream of its own"
          rows={names.map((n, i) => ({ name: n, value: counts[i]?.data ?? 0, rule: demoteStreamLabel(n) })).sort((a, b) => b.value - a.value)}
          onOpen={(n) => set({ label: n })}
          pending={labels.isFetching || counts.some((c) => c.isFetching)}
          error={labels.error}
          empty="No streams in this time range"
        />
      )}
    </>
  );
}

const manyValues = 500;

function Attributes(): JSX.Element {
  const { search, set } = useUrl();
  const { range } = useTime();
  const drill = one(search['drill']);
  const minute = [Math.floor(range.from / 60_000), Math.floor(range.to / 60_000)];
  const tags = useQuery({ queryKey: ['card-tags', ...minute], queryFn: ({ signal }) => traceTags(range, signal), retry: false });
  const all = (tags.data ?? []).filter((s) => s.name !== 'intrinsic').flatMap((s) => s.tags.map((t) => ({ scope: s.name, tag: t, full: `${s.name}.${/^[\w.:/-]+$/.test(t) ? t : JSON.stringify(t)}` })));
  const shown = all.slice(0, 120);
  const counts = useQueries({
    queries: shown.map((t) => ({ queryKey: ['card-tag-values', t.full, ...minute], queryFn: async ({ signal }: { signal: AbortSignal }) => (await traceTagValues(t.full, range, signal)).length, retry: false, enabled: drill === undefined, staleTime: 60_000 })),
  });
  if (drill) return <AttributeDrill name={drill} range={range} />;
  return (
    <>
      <Totals list={[['Attributes', tags.data ? count(all.length) : '–'], ['of spans', count(all.filter((t) => t.scope === 'span').length)], ['of resources', count(all.filter((t) => t.scope === 'resource').length)]]} />
      <Ranked
        title="Attributes"
        hint={`by distinct values, counted up to ${manyValues}`}
        rows={shown
          .map((t, i) => {
            const n = counts[i]?.data ?? 0;
            return { name: t.full, value: n, ...(n >= manyValues ? { text: `${manyValues}+` } : {}), rule: dropAttribute(t.scope, t.tag) };
          })
          .sort((a, b) => b.value - a.value)}
        onOpen={(n) => set({ drill: n })}
        pending={tags.isFetching || counts.some((c) => c.isFetching)}
        error={tags.error}
        empty="No spans in this time range"
      />
    </>
  );
}

function AttributeDrill({ name, range }: { name: string; range: Range }): JSX.Element {
  const q = useQuery({
    queryKey: ['card-tag-top', name, range.from, range.to],
    queryFn: async ({ signal }) => {
      const step = Math.max(1, Math.ceil((range.to - range.from) / 1000));
      const r = await traceMetrics(`{ ${name} != nil } | count_over_time() by (${name})`, range, step, signal);
      return r.series.map((s) => ({ name: Object.values(s.labels)[0] ?? '', value: s.values.reduce((a, b) => a + b, 0) })).sort((a, b) => b.value - a.value);
    },
    retry: false,
  });
  const total = (q.data ?? []).reduce((n, r) => n + r.value, 0);
  return (
    <>
      <Path root="Span attributes" steps={[{ name, to: {} }]} />
      <Ranked title={`Values of ${name}`} hint={`by spans${(q.data?.length ?? 0) > 100 ? `; the first 100 of ${count(q.data!.length)}` : ''}`} total={total} rows={(q.data ?? []).slice(0, 100)} pending={q.isFetching} error={q.error} empty="No span has the attribute in this time range" />
      <div className="row">
        <GoLink className="btn small" to="/traces" search={{ q: `{ ${name} = "${escapeString(q.data?.[0]?.name ?? '')}" }`, via: 'Cardinality' }}>
          Traces with the most frequent value
        </GoLink>
      </div>
    </>
  );
}
