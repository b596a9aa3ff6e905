/** One service: how it does, what it does, whom it needs, what fails, what it says. */
import './services.css';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useMemo } from 'react';
import type { JSX } from 'react';
import { latest, useGolden } from '@/app/golden';
import type { GoldenState } from '@/app/golden';
import { GoldenCharts } from '@/app/golden-view';
import { useServiceLabel } from '@/app/queries';
import { useTime } from '@/app/time';
import { GoLink, useUrl } from '@/app/url';
import { logPatterns } from '@/core/api/loki';
import { escapeString } from '@/core/api/prometheus';
import { logsForService, metricMatcher, tracesForService } from '@/core/context/correlate';
import { goldenByOperation } from '@/core/metrics/golden';
import { niceStep } from '@/core/time/range';
import { count, formatValue, seconds } from '@/core/units/units';
import { Card } from '@/pages/metrics/browse';
import { useMetricList } from '@/pages/metrics/search';
import '@/pages/metrics/metrics.css';
import { Button, Empty, ErrorBox, Loading, Spark } from '@/ui/kit';
import { unmask, useDeploys, useObjectives, useServiceGraph, useTopErrors } from './data';
import { Calls } from './map';

export default function ServicePage(): JSX.Element {
  const { name } = useParams({ strict: false }) as { name: string };
  return <Service key={name} name={name} />;
}

function Service({ name }: { name: string }): JSX.Element {
  const time = useTime();
  const label = useServiceLabel();
  const matcher = metricMatcher(name, label);
  const golden = useGolden(time.range, useMemo(() => goldenByOperation(matcher), [matcher]), 'operation');
  const deploys = useDeploys(matcher, time.range);
  const links = (
    <div className="row wrap">
      <Objectives golden={golden} matcher={matcher} />
      <span className="grow" />
      <GoLink className="btn small" to="/traces" search={{ q: tracesForService(name), via: name, svc: name }}>
        Traces
      </GoLink>
      <GoLink className="btn small" to="/traces" search={{ q: tracesForService(name, 'status = error'), via: name, svc: name }}>
        Failed traces
      </GoLink>
      <GoLink className="btn small" to="/logs" search={{ q: logsForService(name), via: name, svc: name }}>
        Logs
      </GoLink>
      <GoLink className="btn small" to="/explore/metrics" search={{ match: matcher, via: name, svc: name }}>
        Metrics
      </GoLink>
      <GoLink className="btn small" to="/services" search={{ view: 'map', focus: name, svc: name }}>
        On the map
      </GoLink>
    </div>
  );
  return (
    <div className="page">
      {links}
      {golden.error ? <ErrorBox error={golden.error} onRetry={time.refresh} /> : null}
      {golden.pending ? (
        <Loading what="operations" />
      ) : golden.rows.length === 0 ? (
        <section className="panel" aria-label="Operations">
          <Empty title="No request metrics" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            {name} sent no durations of HTTP, RPC or message handling in this time range. Its traces, logs and metrics are below and linked above.
          </Empty>
        </section>
      ) : (
        <>
          <GoldenCharts golden={golden} service={name} via={name} marks={deploys} />
          <Operations golden={golden} name={name} />
        </>
      )}
      <div className="two">
        <Dependencies name={name} />
        <TopErrors name={name} />
      </div>
      <Patterns name={name} />
      <Runtime matcher={matcher} name={name} />
    </div>
  );
}

function Objectives({ golden, matcher }: { golden: GoldenState; matcher: string }): JSX.Element {
  const { range } = useTime();
  const list = useObjectives(golden, matcher, range);
  return (
    <div className="slos" role="group" aria-label="Objectives in this time range">
      {list.map((o) => {
        const bad = o.good !== undefined && o.good < o.target;
        return (
          <div key={o.title} className="slo" data-bad={bad || undefined} title={`The default objective is ${o.target * 100}%. The budget is what may fail in this time range.`}>
            <span className="muted">{o.title}</span>
            <b className="num">{o.good === undefined ? '–' : `${(Math.floor(o.good * 10_000) / 100).toFixed(2)}%`}</b>
            <span className={bad ? 'bad num' : 'faint num'}>{o.left === undefined ? `of ${o.target * 100}%` : o.left < 0 ? `budget overspent ${trimTimes(1 - o.left)}×` : `${Math.round(o.left * 100)}% of the budget left`}</span>
          </div>
        );
      })}
    </div>
  );
}

const trimTimes = (v: number) => (v >= 10 ? Math.round(v) : Math.round(v * 10) / 10);

function Operations({ golden, name }: { golden: GoldenState; name: string }): JSX.Element {
  return (
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
            const spans = `name =~ ".*${escapeString(g.name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))}"`;
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
                    {errors !== undefined && errors >= 0.01 && (
                      <GoLink to="/traces" search={{ q: tracesForService(name, `${spans} && status = error`), via: name, svc: name }}>
                        Failed
                      </GoLink>
                    )}
                    <GoLink to="/traces" search={{ q: tracesForService(name, spans), via: name, svc: name }}>
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
  );
}

function Dependencies({ name }: { name: string }): JSX.Element {
  const { range } = useTime();
  const { go } = useUrl();
  const state = useServiceGraph(range, undefined);
  const into = state.graph.edges.filter((e) => e.to === name);
  const out = state.graph.edges.filter((e) => e.from === name);
  const open = (id: string) => go(`/services/${encodeURIComponent(id)}`, { svc: id });
  return (
    <section className="panel" aria-label="Dependencies">
      <header>
        <h2>Dependencies</h2>
      </header>
      {state.error ? (
        <div className="body">
          <ErrorBox error={state.error} />
        </div>
      ) : state.pending ? (
        <Loading what="dependencies" />
      ) : into.length + out.length === 0 ? (
        <Empty title="No calls were measured">They are derived from traces whose client and server spans both arrive.</Empty>
      ) : (
        <div className="deps">
          <Calls title="Called by" list={into} other={(e) => e.from} onSelect={open} />
          <Calls title="Calls" list={out} other={(e) => e.to} onSelect={open} />
        </div>
      )}
    </section>
  );
}

function TopErrors({ name }: { name: string }): JSX.Element {
  const { range } = useTime();
  const { failures, pending, error } = useTopErrors(name, range);
  return (
    <section className="panel" aria-label="Top errors">
      <header>
        <h2>Top errors</h2>
        <span className="faint">failed spans by operation and message</span>
      </header>
      {error ? (
        <div className="body">
          <ErrorBox error={error} />
        </div>
      ) : pending ? (
        <Loading what="errors" />
      ) : failures.length === 0 ? (
        <Empty title="No span failed">Nothing in the traces of {name} has the status error in this time range.</Empty>
      ) : (
        <table className="table" data-testid="top-errors">
          <thead>
            <tr>
              <th>Operation</th>
              <th>Message</th>
              <th className="r">Spans</th>
            </tr>
          </thead>
          <tbody>
            {failures.map((f) => (
              <tr key={`${f.name}\n${f.message}`}>
                <td className="clip">
                  <GoLink to="/traces" search={{ q: tracesForService(name, `status = error && name = "${escapeString(f.name)}"${f.message ? (f.message.includes('…') ? ` && statusMessage =~ "${escapeString(unmask(f.message))}"` : ` && statusMessage = "${escapeString(f.message)}"`) : ''}`), via: name, svc: name }}>
                    {f.name || '(no name)'}
                  </GoLink>
                </td>
                <td className="clip muted" title={f.message}>
                  {f.message || '–'}
                </td>
                <td className="r">{count(f.count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Patterns({ name }: { name: string }): JSX.Element | null {
  const { range } = useTime();
  const step = niceStep(range, 60, 10);
  const q = useQuery({
    queryKey: ['patterns', logsForService(name), range.from, range.to],
    queryFn: ({ signal }) => logPatterns(logsForService(name), range, step, signal).then((p) => p ?? null),
    retry: false,
  });
  if (!q.data || q.data.length === 0) return null;
  return (
    <section className="panel" aria-label="Log patterns">
      <header>
        <h2>Log patterns</h2>
        <span className="muted num">{q.data.length}</span>
        <span className="grow" />
        <GoLink className="btn small" to="/logs" search={{ q: logsForService(name), view: 'patterns', via: name, svc: name }}>
          All
        </GoLink>
      </header>
      <table className="table patterns">
        <tbody>
          {q.data.slice(0, 8).map((p) => (
            <tr key={`${p.level}${p.pattern}`}>
              <td className="levelcell" data-level={p.level || 'unknown'}>
                {p.level || '–'}
              </td>
              <td className="sparkcol">
                <Spark values={p.counts} height={20} label="Lines over time" />
              </td>
              <td className="r">{count(p.total)}</td>
              <td className="mono">
                <GoLink to="/logs" search={{ q: `${logsForService(name)} |> "${escapeString(p.pattern)}"`, via: name, svc: name }}>
                  {p.pattern}
                </GoLink>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const runtime = /^(process|go|jvm|nodejs|v8js|dotnet|cpython|runtime|container|system|k8s|cpu|memory|node|db_pool)[_.]/;

function Runtime({ matcher, name }: { matcher: string; name: string }): JSX.Element | null {
  const { metrics } = useMetricList('', 400, true, matcher);
  const { go } = useUrl();
  const list = metrics.filter((m) => runtime.test(m.name)).slice(0, 12);
  if (list.length === 0) return null;
  return (
    <section aria-label="Runtime and host">
      <div className="row" style={{ marginBottom: 8 }}>
        <h2>Runtime and host</h2>
        <GoLink to="/explore/metrics" search={{ match: matcher, via: name, svc: name }}>
          all metrics
        </GoLink>
      </div>
      <div className="cards">
        {list.map((m) => (
          <Card key={m.name} metric={m} matchers={matcher} onChoose={(x) => go('/explore/metrics', { m: x.name, match: matcher, via: name, svc: name })} />
        ))}
      </div>
    </section>
  );
}
