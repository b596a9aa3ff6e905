/** Node graph, alert list and dashboard list. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import { queryInstant } from '@/core/api/prometheus';
import type { Graph } from '@/core/services/graph';
import GraphView from '@/viz/graph-view';
import { searchDashboards } from '../api';
import { unitText } from '../units';
import { arr } from '../model';
import type { Frame } from '../frames';
import type { PanelProps } from './context';

const column = (f: Frame | undefined, ...names: string[]): unknown[] | undefined => f?.fields.find((c) => names.includes(c.name.toLowerCase()))?.values;

/** Nodes and edges from the frames that Grafana's node graph takes, by the names of their columns. */
export function graphOf(frames: Frame[]): Graph | undefined {
  const edges = frames.find((f) => f.kind === 'edges' || (column(f, 'source') && column(f, 'target')));
  if (!edges) return undefined;
  const nodes = frames.find((f) => f !== edges && column(f, 'id'));
  const from = column(edges, 'source')!.map(String);
  const to = column(edges, 'target')!.map(String);
  const rates = column(edges, 'mainstat', 'value') ?? [];
  const ids = (column(nodes, 'id') ?? [...new Set([...from, ...to])]).map(String);
  const all = [...new Set([...ids, ...from, ...to])];
  const stat = column(nodes, 'mainstat') ?? [];
  const errors = column(nodes, 'arc__errors', 'arc__failed') ?? [];
  return {
    nodes: all.map((id) => {
      const i = ids.indexOf(id);
      return { id, namespace: '', kind: 'service', rate: Number(stat[i] ?? 0) || 0, errors: Number(errors[i] ?? 0) || 0, p95: undefined, members: [] };
    }),
    edges: from.map((f, i) => ({ from: f, to: to[i]!, rate: Number(rates[i] ?? 0) || 0, errors: 0, p95: undefined, kind: '' })),
  };
}

export default function NodeGraph({ panel, frames, width, height }: PanelProps): JSX.Element {
  const [selected, setSelected] = useState<string>();
  const g = graphOf(frames);
  if (!g || g.nodes.length === 0) return <div className="g-empty">No data</div>;
  return (
    <div style={{ width, height, position: 'relative' }} data-testid="nodegraph">
      <GraphView graph={g} selected={selected} onSelect={setSelected} label={panel.title || 'Node graph'} detail={(n) => `${unitText(n.rate, 'reqps')}`} />
    </div>
  );
}

export function AlertList({ panel, range }: PanelProps): JSX.Element {
  const q = useQuery({ queryKey: ['alerts-panel', range.to], queryFn: ({ signal }) => queryInstant('ALERTS{alertstate=~"firing|pending"}', range.to, signal), retry: false });
  const list = q.data?.series ?? [];
  if (list.length === 0) return <div className="g-empty">{q.isLoading ? 'Loading…' : 'No alert is firing or pending'}</div>;
  return (
    <div className="g-list" tabIndex={0} role="region" aria-label={panel.title || 'Alerts'}>
      {list.map((s, i) => (
        <div key={i}>
          <span className="dot" data-s={s.labels['alertstate'] === 'firing' ? 'bad' : 'warn'} />
          <b>{s.labels['alertname']}</b>
          <span className="muted clip">{Object.entries(s.labels).filter(([k]) => !k.startsWith('__') && k !== 'alertname' && k !== 'alertstate').map(([k, v]) => `${k}=${v}`).join(' ')}</span>
          <span className="muted">{s.labels['alertstate']}</span>
        </div>
      ))}
    </div>
  );
}

export function DashList({ panel }: PanelProps): JSX.Element {
  const o = panel.options;
  const tags = arr(o['tags'] ?? panel.raw['tags']).map(String);
  const q = useQuery({ queryKey: ['dashlist', tags, o['query']], queryFn: ({ signal }) => searchDashboards({ query: String(o['query'] ?? ''), tags, ...(o['showStarred'] === true && o['showSearch'] !== true ? { starred: true } : {}) }, signal), retry: false });
  const list = q.data ?? [];
  if (list.length === 0) return <div className="g-empty">{q.isLoading ? 'Loading…' : 'No dashboard matches'}</div>;
  return (
    <div className="g-list" tabIndex={0} role="region" aria-label={panel.title || 'Dashboards'}>
      {list.slice(0, Number(o['maxItems'] ?? 30)).map((d) => (
        <GoLink key={d.uid} to={`/d/${d.uid}/${d.slug}`}>
          {d.title}
        </GoLink>
      ))}
    </div>
  );
}
