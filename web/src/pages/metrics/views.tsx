/** The answer as a table of latest values and as raw samples. */
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { formatLabels } from '@/core/metrics/promql';
import { formatTime } from '@/core/time/range';
import { count, formatValue } from '@/core/units/units';
import type { Unit } from '@/core/units/units';
import { Icon } from '@/ui/icons';
import { CopyButton } from '@/ui/kit';
import { statsOf } from '@/viz/align';
import type { ChartSeries } from '@/viz/chart';

const mostRows = 1000;

export function LabelTable({ series, unit }: { series: ChartSeries[]; unit: Unit }): JSX.Element {
  const [sort, setSort] = useState<{ key: string; up: boolean }>({ key: '', up: false });
  const names = useMemo(() => [...new Set(series.flatMap((s) => Object.keys(s.labels)))].filter((n) => n !== '__name__').sort(), [series]);
  const rows = useMemo(() => {
    const list = series.map((s) => ({ s, last: statsOf(s.values).last }));
    const dir = sort.up ? 1 : -1;
    return list.sort((a, b) => dir * (sort.key === '' ? (a.last ?? -Infinity) - (b.last ?? -Infinity) : (a.s.labels[sort.key] ?? '').localeCompare(b.s.labels[sort.key] ?? '')));
  }, [series, sort]);
  const head = (key: string, text: string) => (
    <th key={key} className={key === '' ? 'r' : ''} aria-sort={sort.key === key ? (sort.up ? 'ascending' : 'descending') : undefined}>
      <button type="button" onClick={() => setSort((o) => ({ key, up: o.key === key ? !o.up : key !== '' }))}>
        {text}
        {sort.key === key && <Icon name={sort.up ? 'up' : 'down'} size={11} />}
      </button>
    </th>
  );
  return (
    <div style={{ overflow: 'auto', maxHeight: 520 }} tabIndex={0} role="region" aria-label="Latest values">
      <table className="table">
        <thead>
          <tr>
            {names.map((n) => head(n, n))}
            {head('', 'Last value')}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, mostRows).map(({ s, last }) => (
            <tr key={s.key}>
              {names.map((n) => (
                <td key={n} className="mono">
                  {s.labels[n] ?? ''}
                </td>
              ))}
              <td className="r" title={last === null ? '' : String(last)}>
                {formatValue(last, unit)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > mostRows && <div className="faint" style={{ padding: '8px 10px' }}>{count(rows.length - mostRows)} more rows are not shown.</div>}
    </div>
  );
}

const maxLines = 2000;

export function Raw({ series }: { series: ChartSeries[] }): JSX.Element {
  const text = useMemo(() => {
    const lines: string[] = [];
    for (const s of series) {
      if (lines.length > maxLines) break;
      lines.push(formatLabels(s.labels));
      for (let i = Math.max(0, s.times.length - 20); i < s.times.length; i++) lines.push(`  ${formatTime(s.times[i]! * 1000)}  ${s.values[i]}`);
    }
    return lines.join('\n');
  }, [series]);
  return (
    <div style={{ position: 'relative' }}>
      <span style={{ position: 'absolute', top: 2, right: 14 }}>
        <CopyButton text={text} label="Copy the samples" />
      </span>
      <pre className="raw" tabIndex={0} role="region" aria-label="Raw samples">
        {text}
      </pre>
    </div>
  );
}
