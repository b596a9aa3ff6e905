/** The drawer of one line: its fields with filters, its trace, its neighbours. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import { queryLogs } from '@/core/api/loki';
import { escapeString } from '@/core/api/prometheus';
import { around, metricMatcher, tracesForService } from '@/core/context/correlate';
import { fieldsOf, serviceOf, spanIdOf, toRow, traceIdOf } from '@/core/logs/rows';
import type { Field, LogRow } from '@/core/logs/rows';
import { useServiceLabel } from '@/app/queries';
import { formatTime } from '@/core/time/range';
import { Button, CopyButton, ErrorBox, IconButton, Loading } from '@/ui/kit';
import { Line } from './line';

export interface DetailsProps {
  row: LogRow;
  columns: string[];
  onFilter: (f: Field, include: boolean) => void;
  onColumn: (name: string) => void;
  onClose: () => void;
}

const kindName: Record<Field['kind'], string> = { stream: 'Stream labels', meta: 'Metadata', parsed: 'Parsed' };

export function Details({ row, columns, onFilter, onColumn, onClose }: DetailsProps): JSX.Element {
  const [context, setContext] = useState(false);
  const trace = traceIdOf(row.entry);
  const span = spanIdOf(row.entry);
  const service = serviceOf(row.entry);
  const label = useServiceLabel();
  const fields = fieldsOf(row.entry);
  const via = `log ${formatTime(row.time, { date: false })}`;
  return (
    <aside className="drawer logdetails" aria-label="Line details" data-testid="log-details">
      <header className="row">
        <span className="levelmark" data-level={row.level}>
          {row.level}
        </span>
        <span className="num clip grow">{formatTime(row.time, { ms: true })}</span>
        <CopyButton text={row.line} label="Copy line" />
        <IconButton icon="x" kind="quiet" small label="Close" hint="Esc" onClick={onClose} />
      </header>
      <pre className="fullline" tabIndex={0}>
        {format(row.line)}
      </pre>
      <div className="row wrap" style={{ padding: '0 12px 10px', gap: 6 }}>
        {trace && (
          <GoLink className="btn primary small" to={`/trace/${trace}`} search={{ span, via, ...(service ? { svc: service } : {}), ...around(row.time) }} data-testid="open-trace">
            Open trace
          </GoLink>
        )}
        {service && (
          <>
            <GoLink className="btn small" to="/traces" search={{ q: tracesForService(service), via, svc: service, ...around(row.time) }}>
              Traces of {service}
            </GoLink>
            <GoLink className="btn small" to="/explore/metrics" search={{ match: metricMatcher(service, label), via, svc: service, ...around(row.time) }}>
              Metrics
            </GoLink>
          </>
        )}
        <Button small pressed={context} onClick={() => setContext(!context)}>
          Context
        </Button>
      </div>
      {context && <Context row={row} />}
      {(['stream', 'meta', 'parsed'] as const).map((kind) => {
        const list = fields.filter((f) => f.kind === kind);
        if (list.length === 0) return null;
        return (
          <section key={kind}>
            <h3>{kindName[kind]}</h3>
            {list.map((f) => (
              <div key={f.name} className="fieldrow">
                <span className="k clip" title={f.name}>
                  {f.name}
                </span>
                <span className="v mono">{f.value}</span>
                <span className="acts">
                  <IconButton small kind="quiet" icon="plus" label={`Only ${f.name} = ${f.value}`} onClick={() => onFilter(f, true)} />
                  <IconButton small kind="quiet" icon="minus" label={`Without ${f.name} = ${f.value}`} onClick={() => onFilter(f, false)} />
                  <IconButton small kind="quiet" icon="columns" pressed={columns.includes(f.name)} label={`Column ${f.name}`} onClick={() => onColumn(f.name)} />
                  <CopyButton text={f.value} label={`Copy ${f.name}`} />
                </span>
              </div>
            ))}
          </section>
        );
      })}
    </aside>
  );
}

function format(line: string): string {
  if (!/^\s*[{[]/.test(line) || line.length > 100_000) return line;
  try {
    return JSON.stringify(JSON.parse(line), null, 2);
  } catch {
    return line;
  }
}

/** Up to 50 lines of the same stream before and after, whatever the query filters. */
function Context({ row }: { row: LogRow }): JSX.Element {
  const selector = `{${Object.entries(row.entry.stream)
    .filter(([k]) => !/^(detected_level|level|trace_id|span_id)$/.test(k))
    .map(([k, v]) => `${k}="${escapeString(v)}"`)
    .join(', ')}}`;
  const q = useQuery({
    queryKey: ['context', selector, row.ns],
    queryFn: async ({ signal }) => {
      const hour = 3_600_000;
      const [before, after] = await Promise.all([
        queryLogs({ query: selector, range: { from: row.time - hour, to: row.time + 1 }, limit: 51, direction: 'backward' }, signal),
        queryLogs({ query: selector, range: { from: row.time, to: row.time + hour }, limit: 51, direction: 'forward' }, signal),
      ]);
      const entries = [...(before.kind === 'logs' ? before.entries.reverse() : []), ...(after.kind === 'logs' ? after.entries : [])];
      const seen = new Set<string>();
      return entries.filter((e) => !seen.has(e.ns + e.line) && seen.add(e.ns + e.line)).map(toRow);
    },
    staleTime: Infinity,
    meta: { clock: false },
  });
  if (q.error) return <ErrorBox error={q.error} />;
  if (!q.data) return <Loading what="context" />;
  return (
    <div className="context" tabIndex={0} role="region" aria-label="Lines around this one">
      {q.data.map((r) => (
        <div
          key={r.id}
          className="ctx"
          data-level={r.level}
          data-self={(r.ns === row.ns && r.line === row.line) || undefined}
          ref={(el) => {
            if (el && r.ns === row.ns && r.line === row.line) el.scrollIntoView({ block: 'center' });
          }}
        >
          <span className="t">{formatTime(r.time, { ms: true, date: false })}</span>
          <Line text={r.line} />
        </div>
      ))}
    </div>
  );
}
