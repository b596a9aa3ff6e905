/** The logs panel: lines with level, time and labels as the panel asks for; a click opens the fields of a line. */
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import { fieldsOf, toRow, traceIdOf } from '@/core/logs/rows';
import type { LogRow } from '@/core/logs/rows';
import { compareNs } from '@/core/api/loki';
import { formatTime } from '@/core/time/range';
import { Button } from '@/ui/kit';
import { fieldLinks } from './context';
import type { PanelProps } from './context';
import { LinkItem } from './parts';

const first = 200;

export function Logs(props: PanelProps): JSX.Element {
  const { panel, frames } = props;
  const o = panel.options;
  const [limit, setLimit] = useState(first);
  const [open, setOpen] = useState<string>();
  const rows = useMemo(() => {
    const list = frames.flatMap((f) => f.entries ?? []).map(toRow);
    const sign = o['sortOrder'] === 'Ascending' ? 1 : -1;
    return list.sort((a, b) => sign * compareNs(a.ns, b.ns));
  }, [frames, o['sortOrder']]);
  const common = useMemo(() => commonLabels(rows), [rows]);
  return (
    <div className={`g-logs${o['wrapLogMessage'] === true ? ' wrap' : ''}`} tabIndex={0} role="region" aria-label={panel.title || 'Logs'}>
      {o['showCommonLabels'] === true && common.length > 0 && <div className="g-common mono">{common.map(([k, v]) => `${k}=${v}`).join(' ')}</div>}
      {rows.slice(0, limit).map((r) => (
        <div key={r.id} className="g-log" data-level={r.level} data-testid="logline">
          <button type="button" aria-expanded={open === r.id} onClick={() => setOpen(open === r.id ? undefined : r.id)} disabled={o['enableLogDetails'] === false}>
            <i aria-label={r.level} role="img" />
            {o['showTime'] !== false && <time className="num">{formatTime(r.time, { ms: true, date: false })}</time>}
            {(o['showLabels'] === true || o['showUniqueLabels'] === true) && <span className="g-loglabels mono">{labelText(r, o['showLabels'] === true ? [] : common)}</span>}
            <span className="mono g-logline">{pretty(r.line, o['prettifyLogMessage'] === true)}</span>
          </button>
          {open === r.id && <Details row={r} {...props} />}
        </div>
      ))}
      {rows.length > limit && (
        <div className="g-more">
          {limit} of {rows.length} lines <Button small onClick={() => setLimit((n) => n + first)}>Show more</Button>
        </div>
      )}
    </div>
  );
}

function pretty(line: string, on: boolean): string {
  if (!on || !/^\s*[{[]/.test(line)) return line.length > 4000 ? `${line.slice(0, 4000)}…` : line;
  try {
    return JSON.stringify(JSON.parse(line), null, 2);
  } catch {
    return line;
  }
}

function commonLabels(rows: LogRow[]): [string, string][] {
  const firstRow = rows[0];
  return firstRow ? Object.entries(firstRow.entry.stream).filter(([k, v]) => rows.every((r) => r.entry.stream[k] === v)) : [];
}

const labelText = (r: LogRow, without: [string, string][]): string =>
  Object.entries(r.entry.stream)
    .filter(([k]) => !without.some(([x]) => x === k))
    .map(([k, v]) => `${k}=${v}`)
    .join(' ');

function Details({ row, frames, values }: PanelProps & { row: LogRow }): JSX.Element {
  const trace = traceIdOf(row.entry);
  const frame = frames.find((f) => f.entries?.includes(row.entry));
  const at = frame?.entries?.indexOf(row.entry) ?? 0;
  const links = frame ? frame.fields.flatMap((f) => fieldLinks(f, at, frame, frames, values)) : [];
  return (
    <div className="g-logfields">
      <div className="row">
        {trace && (
          <GoLink className="btn small" to={`/trace/${trace}`}>
            Open trace
          </GoLink>
        )}
        {[...new Map(links.map((l) => [l.url, l])).values()].map((l) => (
          <LinkItem key={l.url} link={l} />
        ))}
      </div>
      <dl>
        {fieldsOf(row.entry).map((f) => (
          <div key={f.kind + f.name}>
            <dt>{f.name}</dt>
            <dd className="mono">{f.value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
