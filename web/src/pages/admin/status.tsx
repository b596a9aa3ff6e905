/** Version, health, and the configuration in force. */
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useStatus } from '@/app/queries';
import { buildInfo, configText, runtimeInfo } from '@/core/api/prometheus';
import { count, formatValue, seconds } from '@/core/units/units';
import { CopyButton, ErrorBox, Loading, Partial } from '@/ui/kit';

export function StatusTab(): JSX.Element {
  const status = useStatus();
  const build = useQuery({ queryKey: ['buildinfo'], queryFn: ({ signal }) => buildInfo(signal), staleTime: Infinity, retry: false, meta: { clock: false } });
  const runtime = useQuery({ queryKey: ['runtimeinfo'], queryFn: ({ signal }) => runtimeInfo(signal), refetchInterval: 10_000, retry: false, meta: { clock: false } });
  const s = status.data;
  const error = status.error ?? build.error ?? runtime.error;
  const facts: [string, string][] = [
    ['Version', s?.version ?? ''],
    ['Up for', s ? seconds(s.uptime_seconds) : ''],
    ['Tenant', s?.tenant ?? ''],
    ['Go', build.data?.['goVersion'] ?? ''],
    ['Speaks Prometheus', build.data?.['version'] ?? ''],
    ['Host', String(runtime.data?.['hostname'] ?? '')],
    ['Processors', String(runtime.data?.['GOMAXPROCS'] ?? '')],
    ['Memory limit', typeof runtime.data?.['GOMEMLIMIT'] === 'number' ? formatValue(runtime.data['GOMEMLIMIT'], 'bytes') : ''],
    ['Goroutines', typeof runtime.data?.['goroutineCount'] === 'number' ? count(runtime.data['goroutineCount']) : ''],
  ];
  return (
    <>
      {error ? <ErrorBox error={error} onRetry={() => void status.refetch()} /> : null}
      <Partial warnings={s?.warnings ?? []} />
      <section className="panel" aria-label="Server">
        <header>
          <h2>Server</h2>
          {s && (
            <span className="tag" data-s={(s.warnings ?? []).length > 0 ? 'warn' : 'ok'}>
              {(s.warnings ?? []).length > 0 ? `${s.warnings!.length} standing problems` : 'no standing problems'}
            </span>
          )}
        </header>
        <dl className="factgrid">
          {facts.map(([k, v]) => (
            <div key={k}>
              <dt>{k}</dt>
              <dd className="num">{v || '–'}</dd>
            </div>
          ))}
        </dl>
      </section>
      <Config />
    </>
  );
}

function Config(): JSX.Element {
  const q = useQuery({ queryKey: ['config'], queryFn: ({ signal }) => configText(signal), retry: false, meta: { clock: false } });
  const [filter, setFilter] = useState('');
  const text = useMemo(() => sections(q.data ?? '', filter), [q.data, filter]);
  return (
    <section className="panel" aria-label="Configuration">
      <header>
        <h2>Configuration in force</h2>
        <input className="input" style={{ height: 24, width: 220 }} placeholder="Filter" aria-label="Filter the configuration" value={filter} onChange={(e) => setFilter(e.target.value)} />
        <span className="grow" />
        {q.data && <CopyButton text={q.data} label="Copy the configuration" />}
      </header>
      {q.error ? (
        <div className="body">
          <ErrorBox error={q.error} onRetry={() => void q.refetch()} />
        </div>
      ) : q.data === undefined ? (
        <Loading what="the configuration" />
      ) : (
        <pre className="configtext" tabIndex={0} role="region" aria-label="Configuration text" data-testid="config">
          {text || 'Nothing in the configuration contains this.'}
        </pre>
      )}
    </section>
  );
}

/** The lines that contain the text, below the keys that lead to them. */
export function sections(yaml: string, filter: string): string {
  const needle = filter.trim().toLowerCase();
  if (!needle) return yaml;
  const path: { indent: number; line: string; shown: boolean }[] = [];
  const out: string[] = [];
  for (const line of yaml.split('\n')) {
    const indent = line.search(/\S/);
    if (indent < 0) continue;
    while (path.length > 0 && path[path.length - 1]!.indent >= indent) path.pop();
    path.push({ indent, line, shown: false });
    if (!line.toLowerCase().includes(needle)) continue;
    for (const p of path) {
      if (p.shown) continue;
      p.shown = true;
      out.push(p.line);
    }
  }
  return out.join('\n');
}
