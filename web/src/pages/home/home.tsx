/** Home: what arrives, how the services are, and how to send more. */
import './home.css';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX } from 'react';
import { useGolden } from '@/app/golden';
import { GoldenCharts, GoldenTable } from '@/app/golden-view';
import { useServiceLabel, useStatus } from '@/app/queries';
import { useTime } from '@/app/time';
import { GoLink } from '@/app/url';
import { fetchFault, setFault } from '@/core/api/pharos';
import type { Signal, Status } from '@/core/api/pharos';
import { goldenByService } from '@/core/metrics/golden';
import { ago } from '@/core/time/range';
import { count, formatValue } from '@/core/units/units';
import { Button, ErrorBox, LoadingBar, Partial, Spark } from '@/ui/kit';
import { Onboarding } from './onboarding';
import { RecentQueries } from './recent';

export default function HomePage(): JSX.Element {
  const status = useStatus();
  const s = status.data;
  const received = s ? (['metrics', 'logs', 'traces'] as const).filter((x) => (s.signals[x]?.received_total ?? 0) > 0) : [];
  const first = s !== undefined && received.length === 0;
  return (
    <div className="page">
      {status.error && !s ? <ErrorBox error={status.error} onRetry={() => void status.refetch()} /> : null}
      {s && <Partial warnings={s.warnings ?? []} />}
      {first && (
        <div className="welcome">
          <h2>Send the first data</h2>
          <p className="muted">Point anything that speaks OpenTelemetry, Prometheus or Loki at this address. Each line below turns green when its signal arrives.</p>
        </div>
      )}
      {s && !first && <Strip status={s} />}
      {s?.demo && !first && <Fault />}
      {first ? <Onboarding status={s} /> : <Health />}
      {s && !first && <RecentQueries />}
      {s && !first && (
        <details className="panel sendmore">
          <summary>
            <h2>Send data here</h2>
            <span className="faint">OpenTelemetry, Prometheus, Loki</span>
          </summary>
          <Onboarding status={s} />
        </details>
      )}
    </div>
  );
}

const signals: { id: Signal; title: string; unit: string; to: string }[] = [
  { id: 'metrics', title: 'Metrics', unit: 'samples', to: '/explore/metrics' },
  { id: 'logs', title: 'Logs', unit: 'lines', to: '/logs' },
  { id: 'traces', title: 'Traces', unit: 'spans', to: '/traces' },
];

/** Rates of the last minutes, as this page saw them. */
function useRateHistory(status: Status): Record<Signal, number[]> {
  const history = useRef<Record<Signal, number[]>>({ metrics: [], logs: [], traces: [] });
  const [, bump] = useState(0);
  useEffect(() => {
    for (const { id } of signals) {
      const list = history.current[id];
      list.push(status.signals[id]?.rate_per_second ?? 0);
      if (list.length > 90) list.shift();
    }
    bump((n) => n + 1);
  }, [status]);
  return history.current;
}

function Strip({ status }: { status: Status }): JSX.Element {
  const history = useRateHistory(status);
  const now = Date.now();
  return (
    <div className="strip" aria-label="Ingest">
      {signals.map(({ id, title, unit, to }) => {
        const s = status.signals[id];
        const last = s?.last_received_unix_ms ?? 0;
        const age = now - last;
        const state = !s || s.received_total === 0 ? undefined : age < 60_000 ? 'ok' : age < 600_000 ? 'warn' : 'bad';
        return (
          <GoLink key={id} to={to} className="panel signal" data-testid={`signal-${id}`}>
            <div className="row">
              <span className="dot" data-s={state} />
              <h2>{title}</h2>
              <span className="faint num">{!s || s.received_total === 0 ? 'nothing yet' : ago(last, now)}</span>
            </div>
            <div className="figure num">
              {s && s.received_total > 0 ? formatValue(s.rate_per_second, 'none') : '–'} <span>{unit}/s</span>
            </div>
            <div className="sparkbox">{history[id].length > 2 && <Spark values={history[id]} height={30} label={`${title} received per second`} />}</div>
            <div className="row muted num small">
              <span>{s ? formatValue(s.received_total) : 0} received</span>
              {s && s.refused_total > 0 && (
                <span className="tag" data-s="warn">
                  {count(s.refused_total)} refused
                </span>
              )}
              <span className="grow" />
              {s && s.bytes_on_disk > 0 && <span>{formatValue(s.bytes_on_disk, 'bytes')} on disk</span>}
            </div>
          </GoLink>
        );
      })}
    </div>
  );
}

function Fault(): JSX.Element | null {
  const client = useQueryClient();
  const q = useQuery({ queryKey: ['fault'], queryFn: ({ signal }) => fetchFault(signal), refetchInterval: 5000, retry: false, meta: { clock: false } });
  const m = useMutation({ mutationFn: setFault, onSuccess: (active) => client.setQueryData(['fault'], active) });
  if (q.data === undefined) return null;
  const active = q.data;
  return (
    <div className="demo row" data-active={active || undefined}>
      <span className="dot" data-s={active ? 'bad' : 'ok'} />
      <span className="grow">
        {active ? (
          <>
            <b>The fault is on.</b> Watch errors and durations rise below, then follow a diamond to its trace and its logs.
          </>
        ) : (
          <>
            <b>Demo shop.</b> These services send real OpenTelemetry data to this process. Break one and find out why.
          </>
        )}
      </span>
      {m.error ? <span className="faint">{m.error.message}</span> : null}
      <Button small kind={active ? 'primary' : 'danger'} icon="bolt" disabled={m.isPending} onClick={() => m.mutate(!active)} data-testid="fault">
        {active ? 'Repair' : 'Break something'}
      </Button>
    </div>
  );
}

function Health(): JSX.Element {
  const time = useTime();
  const label = useServiceLabel();
  const golden = useGolden(time.range, useMemo(() => goldenByService(label), [label]), label);
  useHeartbeat(time.every, time.text.to === 'now' ? time.refresh : undefined);
  if (golden.error && golden.rows.length === 0) return <ErrorBox error={golden.error} onRetry={time.refresh} />;
  if (golden.rows.length === 0) {
    return (
      <section className="panel" aria-label="Services">
        <LoadingBar on={golden.fetching} />
        <div className="state">
          <div className="title">{golden.pending ? 'Looking for services…' : 'No golden signals in this time range'}</div>
          <p>Request rate, errors and durations appear here for every service that sends the OpenTelemetry metrics http.server.request.duration, rpc.server.call.duration or messaging.process.duration.</p>
        </div>
      </section>
    );
  }
  return (
    <>
      <GoldenCharts golden={golden} via="Home" />
      <section className="panel" aria-label="Services">
        <LoadingBar on={golden.fetching} />
        <header>
          <h2>Services</h2>
          <span className="muted num">{golden.rows.length}</span>
          <span className="faint">worst first</span>
        </header>
        <GoldenTable golden={golden} label={label} via="Home" />
      </section>
    </>
  );
}

/** Home follows the clock by itself: every ten seconds while the range ends now and no refresh is chosen. */
function useHeartbeat(every: number, refresh: (() => void) | undefined): void {
  const ref = useRef(refresh);
  ref.current = refresh;
  useEffect(() => {
    if (every > 0) return;
    const id = setInterval(() => document.visibilityState === 'visible' && ref.current?.(), 10_000);
    return () => clearInterval(id);
  }, [every]);
}
