/** What is behind a panel: its data as a table, its queries as they were sent, its JSON. */
import { useMemo } from 'react';
import type { JSX } from 'react';
import { CopyButton, Tabs } from '@/ui/kit';
import { formatTime } from '@/core/time/range';
import { count, formatValue } from '@/core/units/units';
import { nameOf, rowsOf } from '@/grafana/frames';
import type { Frame } from '@/grafana/frames';
import type { Panel } from '@/grafana/model';
import type { PanelData } from '@/grafana/query';
import { joinByField } from '@/grafana/join';

type Tab = 'data' | 'query' | 'json';

const most = 1000;

export default function Inspector({ panel, data, frames, tab, onTab }: { panel: Panel; data: PanelData | undefined; frames: Frame[]; tab: Tab; onTab: (t: Tab) => void }): JSX.Element {
  return (
    <div className="g-inspect">
      <Tabs label="Inspect" value={tab} onChange={(t) => onTab(t as Tab)} tabs={[{ id: 'data', label: 'Data' }, { id: 'query', label: 'Query' }, { id: 'json', label: 'JSON' }]} />
      {tab === 'data' && <Data frames={frames} />}
      {tab === 'query' && <Queries data={data} />}
      {tab === 'json' && (
        <>
          <CopyButton text={() => JSON.stringify(panel.raw, null, 2)}>Copy</CopyButton>
          <pre className="g-pre" tabIndex={0}>
            {JSON.stringify(panel.raw, null, 2)}
          </pre>
        </>
      )}
    </div>
  );
}

function Data({ frames }: { frames: Frame[] }): JSX.Element {
  const table = useMemo(() => (frames.length > 1 && frames.every((f) => f.kind === 'series') ? joinByField(frames, { byField: 'Time' })[0]! : frames[0]), [frames]);
  if (!table || rowsOf(table) === 0) return <div className="g-empty">No data</div>;
  const names = table.fields.map((f) => nameOf(f, table, frames));
  const cell = (v: unknown, time: boolean) => (v === null || v === undefined ? '' : time && typeof v === 'number' ? formatTime(v) : typeof v === 'object' ? JSON.stringify(v) : String(v));
  const n = rowsOf(table);
  const csv = () => {
    const quote = (s: string) => (/[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
    return [names.map(quote).join(','), ...Array.from({ length: n }, (_, i) => table.fields.map((f) => quote(f.type === 'time' ? new Date(Number(f.values[i])).toISOString() : cell(f.values[i], false))).join(','))].join('\n');
  };
  return (
    <>
      <div className="row">
        <CopyButton text={csv}>Copy as CSV</CopyButton>
        <span className="muted">
          {count(n)} rows{n > most ? `, the first ${count(most)} shown` : ''}
        </span>
      </div>
      <div className="g-scroll g-pre" tabIndex={0} role="region" aria-label="Data">
        <table className="list">
          <thead>
            <tr>
              {names.map((h, i) => (
                <th key={i} scope="col">
                  {h}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: Math.min(n, most) }, (_, i) => (
              <tr key={i}>
                {table.fields.map((f, k) => (
                  <td key={k} className={f.type === 'number' ? 'r num' : ''}>
                    {cell(f.values[i], f.type === 'time')}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Queries({ data }: { data: PanelData | undefined }): JSX.Element {
  if (!data || data.asked.length === 0) return <div className="g-empty">This panel asks nothing</div>;
  return (
    <div className="g-pre" tabIndex={0}>
      <div className="muted">
        {formatValue(data.bytes, 'bytes')} received, the slowest query took {count(Math.round(data.ms))} ms
      </div>
      {data.asked.map((a, i) => (
        <div key={i} className="g-asked">
          <div className="muted">
            {a.refId} · {a.source} · step {a.step} s <CopyButton text={a.text} />
          </div>
          <pre>{a.text}</pre>
        </div>
      ))}
      {data.errors.map((e, i) => (
        <div key={i} className="errorbox">
          {e.refId}: {e.message}
        </div>
      ))}
    </div>
  );
}
