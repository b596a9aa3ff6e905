/** Counts by time and by something else as a table: what a histogram or heatmap shows, to read one by one. */
import type { JSX } from 'react';
import { formatTime } from '@/core/time/range';
import { count } from '@/core/units/units';
import './chart.css';

export interface CellRow {
  /** Milliseconds. */
  time: number;
  cells: ArrayLike<number>;
}

/** The newest row comes first; `first` is the heading of the times. */
export function CellTable({ label, height, first, columns, rows }: { label: string; height: number; first: string; columns: string[]; rows: CellRow[] }): JSX.Element {
  return (
    <div className="chart-table" style={{ height }} tabIndex={0} role="region" aria-label={`${label} as a table`}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{first}</th>
            {columns.map((c) => (
              <th key={c} scope="col" className="r">
                {c}
              </th>
            ))}
            <th scope="col" className="r">
              All
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.toReversed().map((r) => {
            const cells = Array.from(r.cells);
            return (
              <tr key={r.time}>
                <th scope="row" className="num">
                  {formatTime(r.time)}
                </th>
                {cells.map((v, i) => (
                  <td key={i} className="r">
                    {v === 0 ? <span className="faint">0</span> : count(Math.round(v))}
                  </td>
                ))}
                <td className="r">{count(Math.round(cells.reduce((a, b) => a + b, 0)))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
