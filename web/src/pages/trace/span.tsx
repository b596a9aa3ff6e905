/** The drawer of one span. Long values are cut until they are asked for. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { useServiceLabel } from '@/app/queries';
import { GoLink } from '@/app/url';
import { around, logsForTrace, metricMatcher, metricsForSpan } from '@/core/context/correlate';
import { queryLogs } from '@/core/api/loki';
import { toRow } from '@/core/logs/rows';
import { formatTime } from '@/core/time/range';
import { Line } from '@/pages/logs/line';
import { serviceColor } from '@/core/palette/palette';
import { hexId, kindName, valueText } from '@/core/trace/otlp';
import type { OtlpKeyValue } from '@/core/trace/otlp';
import type { TraceTree } from '@/core/trace/tree';
import { seconds } from '@/core/units/units';
import { escapeString } from '@/core/api/prometheus';
import { CopyButton, IconButton } from '@/ui/kit';

export function SpanDrawer({ tree: t, row: r, startMs, onClose }: { tree: TraceTree; row: number; startMs: number; onClose: () => void }): JSX.Element {
  const label = useServiceLabel();
  const s = t.span[r]!;
  const service = t.services[t.service[r]!]!;
  const at = startMs + t.start[r]!;
  const end = at + t.duration[r]!;
  const error = t.error[r] === 1;
  const via = `trace ${t.id.slice(0, 8)}`;
  const metrics = metricsForSpan(kindName(s.kind), (s.attributes ?? []).map((a) => a.key), metricMatcher(service, label));
  return (
    <aside className="drawer spandrawer" aria-label="Span details" data-testid="span-drawer">
      <header>
        <div className="row">
          <i className="svcbar" style={{ background: `var(--s${serviceColor(service)})`, height: 16 }} />
          <b className="clip">{service}</b>
          <span className="tag">{kindName(s.kind) || 'span'}</span>
          {error && (
            <span className="tag" data-s="bad">
              failed
            </span>
          )}
          <span className="grow" />
          <IconButton icon="x" kind="quiet" small label="Close" hint="Esc" onClick={onClose} />
        </div>
        <div className="opfull">{t.name[r]}</div>
        <div className="row wrap" style={{ gap: 6 }}>
          <GoLink className="btn primary small" to="/logs" search={{ q: logsForTrace(t.id, { service, spanId: t.spanId[r] }), ...around(at, end, 60_000), via, svc: service }} data-testid="logs-for-span">
            Logs for span
          </GoLink>
          <GoLink className="btn small" to="/explore/metrics" search={{ ...metrics, ...around(at, end), via, svc: service }} data-testid="metrics-for-service">
            Metrics for service
          </GoLink>
          <GoLink className="btn small" to="/traces" search={{ q: `{ resource.service.name = "${escapeString(service)}" && name = "${escapeString(t.name[r]!)}" }`, ...around(at, end, 900_000), via, svc: service }}>
            Similar
          </GoLink>
        </div>
      </header>
      <dl className="facts">
        <Fact k="Duration">{seconds(t.duration[r]! / 1000)}</Fact>
        <Fact k="Self time">{seconds(t.self[r]! / 1000)}</Fact>
        <Fact k="Start">+{seconds(t.start[r]! / 1000)}</Fact>
        <Fact k="Children">{t.descendants[r]}</Fact>
      </dl>
      {s.status?.message && (
        <div className="errorbox" style={{ margin: '0 12px 10px' }}>
          <span className="msg">{s.status.message}</span>
        </div>
      )}
      <SpanLogs query={logsForTrace(t.id, { service, spanId: t.spanId[r] })} at={at} end={end} />
      <Section title="Attributes" list={s.attributes} open />
      {(s.events ?? []).length > 0 && (
        <section>
          <h3>Events</h3>
          {s.events!.map((e, i) => {
            const offset = Number(BigInt(String(e.timeUnixNano ?? '0')) - t.startNs) / 1e9;
            return (
              <div key={i} className="event" data-error={e.name === 'exception' || undefined}>
                <div className="row">
                  <b className="clip">{e.name || 'event'}</b>
                  <span className="muted num">+{seconds(Math.max(0, offset))}</span>
                </div>
                <Attributes list={e.attributes} />
              </div>
            );
          })}
        </section>
      )}
      {(s.links ?? []).length > 0 && (
        <section>
          <h3>Links</h3>
          {s.links!.map((l, i) => (
            <div key={i} className="event">
              <GoLink to={`/trace/${hexId(l.traceId)}`} search={{ span: hexId(l.spanId), via }} className="mono">
                {hexId(l.traceId).slice(0, 16)}…
              </GoLink>
              <Attributes list={l.attributes} />
            </div>
          ))}
        </section>
      )}
      <Section title="Resource" list={t.resource[r]!.resource?.attributes} />
      <section>
        <h3>Identity</h3>
        <dl className="kv">
          <Pair k="span id" v={t.spanId[r]!} />
          {s.parentSpanId && <Pair k="parent id" v={hexId(s.parentSpanId)} />}
          {t.scope[r] && <Pair k="scope" v={t.scope[r]} />}
          {s.traceState && <Pair k="trace state" v={s.traceState} />}
        </dl>
      </section>
    </aside>
  );
}

const shownLines = 5;

/** The first lines that the span wrote, if any: often the answer is one of them. */
function SpanLogs({ query, at, end }: { query: string; at: number; end: number }): JSX.Element | null {
  const q = useQuery({
    queryKey: ['span-logs', query],
    queryFn: ({ signal }) => queryLogs({ query, range: { from: Math.floor(at - 60_000), to: Math.ceil(end + 60_000) }, limit: shownLines + 1, direction: 'forward' }, signal),
    staleTime: 60_000,
    retry: false,
    meta: { clock: false },
  });
  if (q.data?.kind !== 'logs' || q.data.entries.length === 0) return null;
  const rows = q.data.entries.map(toRow);
  return (
    <section data-testid="span-logs">
      <h3>Log lines</h3>
      {rows.slice(0, shownLines).map((r) => (
        <div key={r.id} className="spanline" data-level={r.level}>
          <span className="t num">{formatTime(r.time, { ms: true, date: false })}</span> <Line text={r.line} />
        </div>
      ))}
      {rows.length > shownLines && <span className="faint">There are more: Logs for span.</span>}
    </section>
  );
}

function Fact({ k, children }: { k: string; children: ReactNode }): JSX.Element {
  return (
    <div>
      <dt>{k}</dt>
      <dd className="num">{children}</dd>
    </div>
  );
}

function Section({ title, list, open }: { title: string; list: OtlpKeyValue[] | undefined; open?: boolean }): JSX.Element | null {
  if (!list || list.length === 0) return null;
  return (
    <section>
      <details open={open}>
        <summary>
          <h3>{title}</h3> <span className="faint num">{list.length}</span>
        </summary>
        <Attributes list={list} />
      </details>
    </section>
  );
}

function Attributes({ list }: { list: OtlpKeyValue[] | undefined }): JSX.Element | null {
  if (!list || list.length === 0) return null;
  return (
    <dl className="kv">
      {[...list]
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map((a, i) => (
          <Pair key={`${a.key}${i}`} k={a.key} v={valueText(a.value)} />
        ))}
    </dl>
  );
}

const cut = 600;

function Pair({ k, v }: { k: string; v: string }): JSX.Element {
  const [all, setAll] = useState(false);
  return (
    <div>
      <dt className="clip" title={k}>
        {k}
      </dt>
      <dd>
        {v.length > cut && !all ? (
          <>
            {v.slice(0, cut)}…{' '}
            <button type="button" className="btn small quiet" onClick={() => setAll(true)}>
              Show {v.length - cut} more
            </button>
          </>
        ) : (
          v
        )}
        <CopyButton text={v} label={`Copy ${k}`} />
      </dd>
    </div>
  );
}
