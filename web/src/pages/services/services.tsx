/** Services: the list, and one service with its routes. */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { JSX } from 'react';
import { latest, useGolden } from '@/app/golden';
import { GoldenCharts, GoldenTable, shortName } from '@/app/golden-view';
import { useServiceLabel } from '@/app/queries';
import { useTime } from '@/app/time';
import { GoLink, useUrl } from '@/app/url';
import { escapeRegex, escapeString } from '@/core/api/prometheus';
import { traceTagValues } from '@/core/api/tempo';
import { logsForService, tracesForService } from '@/core/context/correlate';
import { goldenByOperation, goldenByService } from '@/core/metrics/golden';
import { formatValue, seconds } from '@/core/units/units';
import { one } from '@/core/url/search';
import { Button, Empty, ErrorBox, Loading, LoadingBar, Spark } from '@/ui/kit';

export default function ServicesPage(): JSX.Element {
  const { search } = useUrl();
  const name = one(search['name']);
  return name ? <Service key={name} name={name} /> : <List />;
}

function List(): JSX.Element {
  const time = useTime();
  const label = useServiceLabel();
  const golden = useGolden(time.range, useMemo(() => goldenByService(label), [label]), label);
  const traced = useQuery({
    queryKey: ['trace-services', Math.floor(time.range.from / 60_000)],
    queryFn: ({ signal }) => traceTagValues('resource.service.name', time.range, signal),
    staleTime: 60_000,
    retry: false,
  });
  const extra = useMemo(() => (traced.data ?? []).map((v) => v.value ?? '').filter(Boolean).sort(), [traced.data]);
  if (golden.pending || traced.isPending) return <Loading what="services" />;
  return (
    <div className="page">
      {golden.error ? <ErrorBox error={golden.error} onRetry={time.refresh} /> : null}
      {golden.rows.length > 0 && <GoldenCharts golden={golden} via="Services" />}
      <section className="panel" aria-label="Services">
        <LoadingBar on={golden.fetching} />
        <header>
          <h2>Services</h2>
          <span className="muted num">{new Set([...golden.rows.map((g) => shortName(g.name)), ...extra]).size}</span>
        </header>
        {golden.rows.length === 0 && extra.length === 0 ? (
          <Empty title="No services in this time range" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            A service appears when it sends traces or durations of its requests.
          </Empty>
        ) : (
          <GoldenTable golden={golden} label={label} full extra={extra} />
        )}
      </section>
    </div>
  );
}

function Service({ name }: { name: string }): JSX.Element {
  const time = useTime();
  const label = useServiceLabel();
  const matcher = `${label}="${escapeString(name)}"`;
  const golden = useGolden(time.range, useMemo(() => goldenByOperation(matcher), [matcher]), 'operation');
  const short = shortName(name);
  return (
    <div className="page">
      <div className="row">
        <GoLink to="/services">Services</GoLink>
        <span className="faint">/</span>
        <h2 style={{ fontSize: 15 }}>{short}</h2>
        <span className="grow" />
        <GoLink className="btn small" to="/traces" search={{ q: tracesForService(short), via: short }}>
          Traces
        </GoLink>
        <GoLink className="btn small" to="/traces" search={{ q: tracesForService(short, 'status = error'), via: short }}>
          Failed traces
        </GoLink>
        <GoLink className="btn small" to="/logs" search={{ q: logsForService(short), via: short }}>
          Logs
        </GoLink>
        <GoLink className="btn small" to="/explore/metrics" search={{ match: matcher, via: short }}>
          Metrics
        </GoLink>
      </div>
      {golden.error ? <ErrorBox error={golden.error} onRetry={time.refresh} /> : null}
      {golden.pending ? (
        <Loading what="operations" />
      ) : golden.rows.length === 0 ? (
        <Empty title="No request metrics" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
          {short} sent no durations of HTTP, RPC or message handling in this time range. Its traces and logs are linked above.
        </Empty>
      ) : (
        <>
          <GoldenCharts golden={golden} service={short} via={short} />
          <section className="panel" aria-label="Operations">
            <header>
              <h2>Operations</h2>
              <span className="muted num">{golden.rows.length}</span>
            </header>
            <table className="table goldentable">
              <thead>
                <tr>
                  <th>Operation</th>
                  <th className="sparkcol">
                    <span className="sr">Requests over time</span>
                  </th>
                  <th className="r">Requests</th>
                  <th className="r">Errors</th>
                  <th className="r">p50</th>
                  <th className="r">p95</th>
                  <th className="r">p99</th>
                  <th>
                    <span className="sr">Links</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {golden.rows.map((g) => {
                  const errors = latest(g.errors);
                  const cell = (v: number | undefined) => (v === undefined ? '–' : seconds(v));
                  return (
                    <tr key={g.name}>
                      <td className="mono">{g.name}</td>
                      <td className="sparkcol">
                        <Spark values={g.rate} height={20} label={`Requests of ${g.name} over time`} />
                      </td>
                      <td className="r">{formatValue(latest(g.rate), 'perSecond')}</td>
                      <td className="r">{errors !== undefined && errors >= 0.01 ? <span className="tag" data-s="bad">{formatValue(errors, 'ratio')}</span> : formatValue(errors, 'ratio')}</td>
                      <td className="r muted">{cell(latest(g.p50))}</td>
                      <td className="r">{cell(latest(g.p95))}</td>
                      <td className="r muted">{cell(latest(g.p99))}</td>
                      <td className="r">
                        <span className="rowlinks">
                          <GoLink to="/traces" search={{ q: tracesForService(short, `name =~ ".*${escapeRegex(g.name)}.*"`), via: short }}>
                            Traces
                          </GoLink>
                        </span>
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </section>
        </>
      )}
    </div>
  );
}
