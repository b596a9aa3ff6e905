/** How long each signal is kept, what it takes, and how long the disk will do. */
import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import type { JSX } from 'react';
import { fetchStorage } from '@/core/api/pharos';
import type { Storage } from '@/core/api/pharos';
import { formatValue, seconds } from '@/core/units/units';
import { ErrorBox, Loading, Partial } from '@/ui/kit';
import { signalNames } from './ingest';

export function StorageTab(): JSX.Element {
  const q = useQuery({ queryKey: ['storage'], queryFn: ({ signal }) => fetchStorage(signal), refetchInterval: 5000, retry: false, meta: { clock: false } });
  if (q.error && !q.data) return <ErrorBox error={q.error} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="disk usage" />;
  return <Body s={q.data} />;
}

function Body({ s }: { s: Storage }): JSX.Element {
  const growth = useGrowth(s);
  const used = signalNames.reduce((n, [id]) => n + (s.signals[id]?.bytes_on_disk ?? 0), 0);
  const other = Math.max(0, s.total_bytes - s.free_bytes - used);
  const share = (n: number) => (s.total_bytes > 0 ? (n / s.total_bytes) * 100 : 0);
  const low = s.total_bytes > 0 && s.free_bytes / s.total_bytes < 0.1;
  return (
    <>
      {low && <Partial warnings={[`Only ${formatValue(s.free_bytes, 'bytes')} are free. Writes stop when wal.min_free is reached.`]} />}
      <section className="panel" aria-label="Disk">
        <header>
          <h2>Disk</h2>
          {s.total_bytes > 0 && (
            <span className="muted num">
              {formatValue(s.free_bytes, 'bytes')} free of {formatValue(s.total_bytes, 'bytes')}
            </span>
          )}
          {growth !== undefined && growth > 0 && <span className="faint num">grows by {formatValue(growth * 3600, 'bytes')} an hour: room for {seconds(s.free_bytes / growth)} before anything expires</span>}
        </header>
        {s.total_bytes > 0 && (
          <div className="body">
            <div className="diskbar" role="img" aria-label={`${signalNames.map(([id, name]) => `${name} ${formatValue(s.signals[id]?.bytes_on_disk ?? 0, 'bytes')}`).join(', ')}, other files ${formatValue(other, 'bytes')}`}>
              {signalNames.map(([id], i) => (
                <i key={id} style={{ width: `max(2px, ${share(s.signals[id]?.bytes_on_disk ?? 0)}%)`, background: `var(--s${[0, 2, 1][i]})` }} />
              ))}
              <i style={{ width: `${share(other)}%`, background: 'var(--line-2)' }} />
            </div>
            <div className="row wrap disklegend">
              {signalNames.map(([id, name], i) => (
                <span key={id}>
                  <i className="key" style={{ background: `var(--s${[0, 2, 1][i]})` }} />
                  {name} <b className="num">{formatValue(s.signals[id]?.bytes_on_disk ?? 0, 'bytes')}</b>
                </span>
              ))}
              <span>
                <i className="key" style={{ background: 'var(--line-2)' }} />
                other files <b className="num">{formatValue(other, 'bytes')}</b>
              </span>
            </div>
          </div>
        )}
      </section>
      <section className="panel" aria-label="Retention">
        <header>
          <h2>Retention</h2>
          <span className="faint">whole UTC days are dropped once they are older; set with retention in the configuration</span>
        </header>
        <table className="table" data-testid="retention">
          <thead>
            <tr>
              <th>Signal</th>
              <th className="r">Kept for</th>
              <th className="r">On disk</th>
            </tr>
          </thead>
          <tbody>
            {signalNames.map(([id, name]) => {
              const x = s.signals[id];
              return (
                <tr key={id}>
                  <td>{name}</td>
                  <td className="r">{x && x.retention_seconds > 0 ? seconds(x.retention_seconds) : 'ever'}</td>
                  <td className="r">{formatValue(x?.bytes_on_disk ?? 0, 'bytes')}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </>
  );
}

/** Bytes per second by which the data grew while this page was open; undefined in the first minute. */
function useGrowth(s: Storage): number | undefined {
  const first = useRef<{ at: number; used: number }>(undefined);
  const used = signalNames.reduce((n, [id]) => n + (s.signals[id]?.bytes_on_disk ?? 0), 0);
  const now = Date.now();
  first.current ??= { at: now, used };
  const took = (now - first.current.at) / 1000;
  return took >= 60 ? (used - first.current.used) / took : undefined;
}
