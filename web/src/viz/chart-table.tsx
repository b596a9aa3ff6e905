/** A chart as a table: the same numbers, for reading one by one, for copying and for screen readers. */
import type { JSX } from 'react';
import { formatTime } from '@/core/time/range';
import { formatValue } from '@/core/units/units';
import type { Unit } from '@/core/units/units';
import type { Column } from './align';

const maxSeries = 30;
const maxRows = 500;

export function ChartTable({ columns, names, unit, label, height }: { columns: Column[]; names: string[]; unit: Unit; label: string; height: number }): JSX.Element {
  const shown = names.slice(0, maxSeries);
  const times = columns[0] as number[];
  const rows: number[] = [];
  for (let i = times.length - 1; i >= 0 && rows.length < maxRows; i--) if (shown.some((_, k) => columns[k + 1]?.[i] !== null && columns[k + 1]?.[i] !== undefined)) rows.push(i);
  return (
    <div className="chart-table" style={{ height }} tabIndex={0} role="region" aria-label={`${label} as a table`}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">Time</th>
            {shown.map((n, i) => (
              <th key={i} scope="col" className="r" title={n}>
                <span className="clip">{n}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((i) => (
            <tr key={i}>
              <th scope="row" className="num">
                {formatTime(times[i]! * 1000)}
              </th>
              {shown.map((_, k) => (
                <td key={k} className="r">
                  {formatValue(columns[k + 1]?.[i] ?? undefined, unit)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {names.length > maxSeries && <div className="faint more">{names.length - maxSeries} more series are in the chart.</div>}
    </div>
  );
}
