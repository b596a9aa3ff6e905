/** What arrives, what is refused and why, and whether scrape targets answer. */
import { useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useStatus } from '@/app/queries';
import { fetchRejects } from '@/core/api/pharos';
import type { Signal } from '@/core/api/pharos';
import { scrapeTargets } from '@/core/api/prometheus';
import { ago } from '@/core/time/range';
import { count, formatValue, seconds } from '@/core/units/units';
import { Empty, ErrorBox, Loading } from '@/ui/kit';

export const signalNames: [Signal, string, string][] = [
  ['metrics', 'Metrics', 'samples'],
  ['logs', 'Logs', 'lines'],
  ['traces', 'Traces', 'spans'],
];

export function IngestTab(): JSX.Element {
  const status = useStatus();
  const now = Date.now();
  return (
    <>
      <section className="panel" aria-label="Received">
        <header>
          <h2>Received</h2>
        </header>
        {status.error && !status.data ? (
          <div className="body">
            <ErrorBox error={status.error} onRetry={() => void status.refetch()} />
          </div>
        ) : !status.data ? (
          <Loading what="rates" />
        ) : (
          <table className="table" data-testid="received">
            <thead>
              <tr>
                <th>Signal</th>
                <th className="r">Now</th>
                <th className="r">Since the start</th>
                <th className="r">Refused</th>
                <th className="r">Refused share</th>
                <th className="r">Last</th>
              </tr>
            </thead>
            <tbody>
              {signalNames.map(([id, name, unit]) => {
                const s = status.data.signals[id];
                const all = (s?.received_total ?? 0) + (s?.refused_total ?? 0);
                const share = all > 0 ? (s?.refused_total ?? 0) / all : 0;
                return (
                  <tr key={id}>
                    <td>{name}</td>
                    <td className="r">
                      {formatValue(s?.rate_per_second ?? 0)} {unit}/s
                    </td>
                    <td className="r">{count(s?.received_total ?? 0)}</td>
                    <td className="r">{count(s?.refused_total ?? 0)}</td>
                    <td className="r">{share > 0 ? <span className="tag" data-s={share > 0.01 ? 'bad' : 'warn'}>{formatValue(share, 'ratio')}</span> : <span className="muted">0%</span>}</td>
                    <td className="r muted">{s && s.last_received_unix_ms > 0 ? ago(s.last_received_unix_ms, now) : 'nothing yet'}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        )}
      </section>
      <Rejects />
      <Targets />
    </>
  );
}

function Rejects(): JSX.Element {
  const q = useQuery({ queryKey: ['rejects'], queryFn: ({ signal }) => fetchRejects(signal), refetchInterval: 5000, retry: false, meta: { clock: false } });
  const now = Date.now();
  return (
    <section className="panel" aria-label="Refused">
      <header>
        <h2>Refused, by reason</h2>
      </header>
      {q.error && !q.data ? (
        <div className="body">
          <ErrorBox error={q.error} onRetry={() => void q.refetch()} />
        </div>
      ) : !q.data ? (
        <Loading what="reasons" />
      ) : q.data.length === 0 ? (
        <Empty title="Nothing was refused">Everything that arrived since the start was stored.</Empty>
      ) : (
        <table className="table" data-testid="rejects">
          <thead>
            <tr>
              <th>Signal</th>
              <th>Reason</th>
              <th className="r">Items</th>
              <th className="r">Last</th>
              <th>For example</th>
            </tr>
          </thead>
          <tbody>
            {q.data.map((r) => (
              <tr key={r.signal + r.reason}>
                <td>{r.signal}</td>
                <td>
                  <b>{r.reason.replaceAll('_', ' ')}</b>
                </td>
                <td className="r">{count(r.count)}</td>
                <td className="r muted">{ago(r.last_unix_ms, now)}</td>
                <td className="mono wrapcell">{r.sample}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Targets(): JSX.Element {
  const q = useQuery({ queryKey: ['targets'], queryFn: ({ signal }) => scrapeTargets(signal), refetchInterval: 10_000, retry: false, meta: { clock: false } });
  const list = [...(q.data ?? [])].sort((a, b) => (a.health === b.health ? (a.scrapeUrl < b.scrapeUrl ? -1 : 1) : a.health === 'up' ? 1 : -1));
  const down = list.filter((t) => t.health !== 'up').length;
  return (
    <section className="panel" aria-label="Scrape targets">
      <header>
        <h2>Scrape targets</h2>
        <span className="muted num">{q.data ? count(list.length) : ''}</span>
        {down > 0 && (
          <span className="tag" data-s="bad">
            {count(down)} not up
          </span>
        )}
      </header>
      {q.error && !q.data ? (
        <div className="body">
          <ErrorBox error={q.error} onRetry={() => void q.refetch()} />
        </div>
      ) : !q.data ? (
        <Loading what="targets" />
      ) : list.length === 0 ? (
        <Empty title="Nothing is scraped">Targets come from scrape_configs of the configuration; data that is pushed needs none.</Empty>
      ) : (
        <table className="table">
          <thead>
            <tr>
              <th>Job</th>
              <th>Target</th>
              <th>State</th>
              <th className="r">Last scrape</th>
              <th className="r">Took</th>
              <th>Error</th>
            </tr>
          </thead>
          <tbody>
            {list.slice(0, 500).map((t) => (
              <tr key={t.scrapePool + t.scrapeUrl}>
                <td>{t.scrapePool}</td>
                <td className="mono">{t.scrapeUrl}</td>
                <td>
                  <span className="tag" data-s={t.health === 'up' ? 'ok' : t.health === 'down' ? 'bad' : 'warn'}>
                    {t.health}
                  </span>
                </td>
                <td className="r muted">{Date.parse(t.lastScrape) > 0 ? ago(Date.parse(t.lastScrape), Date.now()) : '–'}</td>
                <td className="r">{seconds(t.lastScrapeDuration)}</td>
                <td className="wrapcell">{t.lastError}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
