/** The drawer of one line: its fields with filters, its trace, its neighbours. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import { logContext } from '@/core/api/loki';
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
  const q = useQuery({
    queryKey: ['context', row.entry.stream, row.ns, row.line],
    queryFn: async ({ signal }) => {
      const { entries, self } = await logContext(row.entry, 50, signal);
      return { rows: entries.map(toRow), self };
    },
    staleTime: Infinity,
    meta: { clock: false },
  });
  if (q.error) return <ErrorBox error={q.error} />;
  if (!q.data) return <Loading what="context" />;
  if (q.data.rows.length === 0) return <div className="faint" style={{ padding: '0 12px 10px' }}>The stream of this line was not found; a query that adds or drops labels hides which one it is.</div>;
  return (
    <div className="context" tabIndex={0} role="region" aria-label="Lines around this one">
      {q.data.rows.map((r, i) => (
        <div
          key={r.id}
          className="ctx"
          data-level={r.level}
          data-self={i === q.data.self || undefined}
          ref={(el) => {
            if (el && i === q.data.self) el.scrollIntoView({ block: 'center' });
          }}
        >
          <span className="t">{formatTime(r.time, { ms: true, date: false })}</span>
          <Line text={r.line} />
        </div>
      ))}
    </div>
  );
}
