/** The golden signals as charts and as a table. Used by Home and by Services. */
import './golden-view.css';
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import type { Exemplar } from '@/core/api/prometheus';
import { logsForService, metricMatcher, tracesForService } from '@/core/context/correlate';
import { serviceColor } from '@/core/palette/palette';
import { assign } from '@/core/palette/palette';
import { formatValue, seconds } from '@/core/units/units';
import type { Unit } from '@/core/units/units';
import { ExemplarPopover, PointPopover } from '@/pages/metrics/exemplar';
import { Icon } from '@/ui/icons';
import { Spark } from '@/ui/kit';
import { TimeChart } from '@/viz/chart';
import type { ChartMark, ChartPoint, ChartSeries } from '@/viz/chart';
import { latest } from './golden';
import type { Golden, GoldenState } from './golden';
import { useTime } from './time';
import { GoLink } from './url';

type Key = 'rate' | 'errors' | 'p95';

const charts: { key: Key; title: string; unit: Unit }[] = [
  { key: 'rate', title: 'Requests', unit: 'perSecond' },
  { key: 'errors', title: 'Errors', unit: 'ratio' },
  { key: 'p95', title: 'Duration p95', unit: 's' },
];

/** Job values may be `namespace/name`; people know the name. */
export const shortName = (name: string) => name.replace(/^.*\//, '');

/** `service` is the one that all series belong to; without it every series is a service. */
export function GoldenCharts({ golden, service, via, marks }: { golden: GoldenState; service?: string; via: string; marks?: ChartMark[] }): JSX.Element {
  const time = useTime();
  const services = service === undefined;
  const [point, setPoint] = useState<{ key: Key; p: ChartPoint; at: { x: number; y: number } }>();
  const [picked, setPicked] = useState<{ e: Exemplar; at: { x: number; y: number } }>();
  const series = useMemo(() => {
    const colors = services ? golden.rows.map((g) => serviceColor(shortName(g.name))) : // Red means failure, so no operation is red.
        assign(golden.rows.map((g) => g.name)).map((c) => (c === 7 ? 12 : c));
    const make = (key: Key): ChartSeries[] =>
      golden.rows.map((g, i) => ({
        key: g.name,
        name: shortName(g.name),
        labels: {},
        color: colors[i]!,
        times: golden.times,
        values: g[key],
      }));
    return { rate: make('rate'), errors: make('errors'), p95: make('p95') };
  }, [golden.rows, golden.times, services]);
  return (
    <div className="goldens">
      {charts.map((c) => (
        <section key={c.key} className="panel" aria-label={c.title}>
          <header>
            <h2>{c.title}</h2>
            <span className="faint">{c.key === 'p95' && golden.exemplars.length > 0 ? 'click a diamond for its trace' : ''}</span>
          </header>
          <div style={{ padding: '0 6px 6px', position: 'relative' }}>
            <TimeChart
              series={series[c.key]}
              range={time.range}
              step={golden.step}
              unit={c.unit}
              height={176}
              label={`${c.title} by ${services ? 'service' : 'operation'}`}
              sync="golden"
              {...(marks ? { marks } : {})}
              onZoom={time.zoomTo}
              onZoomOut={time.zoomOut}
              onPoint={(p, at) => setPoint({ key: c.key, p, at })}
              {...(c.key === 'p95' ? { exemplars: golden.exemplars, onExemplar: (e: Exemplar, at: { x: number; y: number }) => setPicked({ e, at }) } : {})}
            />
            {point?.key === c.key && <PointPopover point={point.p} at={point.at} unit={c.unit} service={service ?? shortName(point.p.series.key)} via={via} onClose={() => setPoint(undefined)} />}
            {c.key === 'p95' && picked && <ExemplarPopover exemplar={picked.e} at={picked.at} unit="s" via={via} onClose={() => setPicked(undefined)} />}
          </div>
        </section>
      ))}
    </div>
  );
}

type SortKey = 'name' | 'rate' | 'errors' | 'p50' | 'p95' | 'p99';

export function GoldenTable({ golden, label, full, extra = [], via }: { golden: GoldenState; label: string; full?: boolean; extra?: string[]; via: string }): JSX.Element {
  const [sort, setSort] = useState<{ key: SortKey; up: boolean }>({ key: 'errors', up: false });
  const rows = useMemo(() => {
    const last = (g: Golden) => ({ rate: latest(g.rate), errors: latest(g.errors), p50: latest(g.p50), p95: latest(g.p95), p99: latest(g.p99) });
    const list = golden.rows.map((g) => ({ g, v: last(g) }));
    const dir = sort.up ? 1 : -1;
    return list.sort((a, b) => {
      if (sort.key === 'name') return dir * a.g.name.localeCompare(b.g.name);
      return dir * ((a.v[sort.key] ?? -1) - (b.v[sort.key] ?? -1)) || (b.v.p95 ?? 0) - (a.v.p95 ?? 0);
    });
  }, [golden.rows, sort]);
  const header = (key: SortKey, text: string, right = true) => (
    <th className={right ? 'r' : ''} aria-sort={sort.key === key ? (sort.up ? 'ascending' : 'descending') : undefined}>
      <button type="button" onClick={() => setSort((o) => ({ key, up: o.key === key ? !o.up : key === 'name' }))}>
        {text}
        {sort.key === key && <Icon name={sort.up ? 'up' : 'down'} size={11} />}
      </button>
    </th>
  );
  const spark = full ? 'sparkcol hide-small' : 'sparkcol';
  const known = new Set(golden.rows.map((g) => shortName(g.name)));
  const others = extra.filter((s) => !known.has(s));
  return (
    <table className="table goldentable" data-testid="services">
      <thead>
        <tr>
          {header('name', 'Service', false)}
          <th className={spark}>
            <span className="sr">Requests over time</span>
          </th>
          {header('rate', 'Requests')}
          {header('errors', 'Errors')}
          {full && header('p50', 'p50')}
          <th className={spark}>
            <span className="sr">Duration over time</span>
          </th>
          {header('p95', 'p95')}
          {full && header('p99', 'p99')}
          <th>
            <span className="sr">Links</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ g, v }) => {
          const name = shortName(g.name);
          const bad = (v.errors ?? 0) >= 0.01;
          return (
            <tr key={g.name}>
              <td>
                <span className="row" style={{ gap: 8 }}>
                  <span className="dot" style={{ background: `var(--s${serviceColor(name)})` }} />
                  <GoLink to={`/services/${encodeURIComponent(name)}`} search={{ svc: name }}>
                    {name}
                  </GoLink>
                </span>
              </td>
              <td className={spark}>
                <Spark values={g.rate} height={20} color={`var(--s${serviceColor(name)})`} label={`Requests of ${name} over time`} />
              </td>
              <td className="r">{formatValue(v.rate, 'perSecond')}</td>
              <td className="r">{v.errors === undefined ? '–' : bad ? <span className="tag" data-s="bad">{formatValue(v.errors, 'ratio')}</span> : <span className="muted">{formatValue(v.errors, 'ratio')}</span>}</td>
              {full && <td className="r muted">{v.p50 === undefined ? '–' : seconds(v.p50)}</td>}
              <td className={spark}>
                <Spark values={g.p95} height={20} color="var(--muted)" label={`Duration of ${name} over time`} />
              </td>
              <td className="r">{v.p95 === undefined ? '–' : seconds(v.p95)}</td>
              {full && <td className="r muted">{v.p99 === undefined ? '–' : seconds(v.p99)}</td>}
              <td className="r">
                <Links service={name} matcher={metricMatcher(name, label)} errors={bad} via={via} />
              </td>
            </tr>
          );
        })}
        {others.map((name) => (
          <tr key={name}>
            <td>
              <span className="row" style={{ gap: 8 }}>
                <span className="dot" style={{ background: `var(--s${serviceColor(name)})` }} />
                {name}
              </span>
            </td>
            <td colSpan={full ? 7 : 5} className="faint">
              no request metrics
            </td>
            <td className="r">
              <Links service={name} matcher={metricMatcher(name, label)} errors={false} via={via} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Links({ service, matcher, errors, via }: { service: string; matcher: string; errors: boolean; via: string }): JSX.Element {
  return (
    <span className="rowlinks">
      {errors && (
        <GoLink to="/traces" search={{ q: tracesForService(service, 'status = error'), via, svc: service }}>
          Failed traces
        </GoLink>
      )}
      {matcher && (
        <GoLink to="/explore/metrics" search={{ match: matcher, via, svc: service }}>
          Metrics
        </GoLink>
      )}
      <GoLink to="/traces" search={{ q: tracesForService(service), via, svc: service }}>
        Traces
      </GoLink>
      <GoLink to="/logs" search={{ q: logsForService(service), via, svc: service }}>
        Logs
      </GoLink>
    </span>
  );
}
