/** The legend: one row a series with its statistics; click isolates, Ctrl-click adds. */
import './legend.css';
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { metricService, logsForService, tracesForService } from '@/core/context/correlate';
import { formatLabels } from '@/core/metrics/promql';
import { count, formatValue } from '@/core/units/units';
import type { Unit } from '@/core/units/units';
import { GoLink } from '@/app/url';
import { Icon } from '@/ui/icons';
import { statsOf } from '@/viz/align';
import type { Stats } from '@/viz/align';
import type { ChartSeries } from '@/viz/chart';

type SortKey = 'name' | keyof Stats;

/** Rows that are drawn; the others are reached by sorting and filtering. */
const mostRows = 200;

const columns: { key: keyof Stats; label: string }[] = [
  { key: 'last', label: 'Last' },
  { key: 'min', label: 'Min' },
  { key: 'max', label: 'Max' },
  { key: 'mean', label: 'Mean' },
];

export function Legend({ series, unit, shown, onToggle, via }: { series: ChartSeries[]; unit: Unit; shown: ReadonlySet<string> | undefined; onToggle: (key: string, add: boolean) => void; via?: string }): JSX.Element {
  const [sort, setSort] = useState<{ key: SortKey; up: boolean }>({ key: 'max', up: false });
  const [filter, setFilter] = useState('');
  const rows = useMemo(() => series.map((s) => ({ s, stats: statsOf(s.values) })), [series]);
  const sorted = useMemo(() => {
    const f = filter.trim().toLowerCase();
    const list = f ? rows.filter((r) => formatLabels(r.s.labels).toLowerCase().includes(f) || r.s.name.toLowerCase().includes(f)) : [...rows];
    const dir = sort.up ? 1 : -1;
    return list.sort((a, b) => {
      if (sort.key === 'name') return dir * a.s.name.localeCompare(b.s.name);
      return dir * ((a.stats[sort.key] ?? -Infinity) - (b.stats[sort.key] ?? -Infinity));
    });
  }, [rows, sort, filter]);
  const header = (key: SortKey, label: string, right: boolean) => (
    <th key={key} className={right ? 'r' : ''} aria-sort={sort.key === key ? (sort.up ? 'ascending' : 'descending') : undefined}>
      <button type="button" onClick={() => setSort((o) => ({ key, up: o.key === key ? !o.up : key === 'name' }))}>
        {label}
        {sort.key === key && <Icon name={sort.up ? 'up' : 'down'} size={11} />}
      </button>
    </th>
  );
  return (
    <div className="legend">
      {series.length > 8 && (
        <div className="row" style={{ padding: '0 10px 6px' }}>
          <input className="input" style={{ height: 24, width: 220 }} placeholder={`Filter ${series.length} series`} aria-label="Filter series" value={filter} onChange={(e) => setFilter(e.target.value)} />
        </div>
      )}
      <div className="legend-scroll" tabIndex={0} role="region" aria-label="Series">
        <table className="table" data-testid="legend">
          <thead>
            <tr>
              {header('name', 'Series', false)}
              {columns.map((c) => header(c.key, c.label, true))}
              <th>
                <span className="sr">Links</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, mostRows).map(({ s, stats }) => {
              const off = shown && !shown.has(s.key);
              const service = metricService(s.labels);
              return (
                <tr key={s.key} data-off={off || undefined}>
                  <td>
                    <button type="button" className="series" title={formatLabels(s.labels)} aria-pressed={Boolean(shown?.has(s.key))} onClick={(e) => onToggle(s.key, e.ctrlKey || e.metaKey)}>
                      <i style={{ background: `var(--s${s.color})` }} />
                      <span className="clip">{s.name}</span>
                    </button>
                  </td>
                  {columns.map((c) => (
                    <td key={c.key} className="r">
                      {formatValue(stats[c.key], unit)}
                    </td>
                  ))}
                  <td className="r links">
                    {service && (
                      <>
                        <GoLink to="/traces" search={{ q: tracesForService(service), via }}>
                          Traces
                        </GoLink>{' '}
                        <GoLink to="/logs" search={{ q: logsForService(service), via }}>
                          Logs
                        </GoLink>
                      </>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {sorted.length > mostRows && <div className="faint more">{count(sorted.length - mostRows)} more: sort or filter to see them.</div>}
      </div>
    </div>
  );
}
