/** The service map with its filter, its focus and the drawer of a node. */
import './services.css';
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import type { GoldenState } from '@/app/golden';
import { useServiceLabel } from '@/app/queries';
import { useTime } from '@/app/time';
import { GoLink, useUrl } from '@/app/url';
import { logsForService, metricMatcher, tracesForService } from '@/core/context/correlate';
import { filterGraph, focusGraph, groupFrom, groupGraph } from '@/core/services/graph';
import type { Edge, Graph, Node } from '@/core/services/graph';
import { formatValue, seconds } from '@/core/units/units';
import { one } from '@/core/url/search';
import { Button, Empty, ErrorBox, IconButton, Loading, LoadingBar, Partial } from '@/ui/kit';
import GraphView from '@/viz/graph-view';
import { useServiceGraph } from './data';

export default function ServiceMap({ golden, toggle }: { golden: GoldenState; toggle: JSX.Element }): JSX.Element {
  const time = useTime();
  const { search, set } = useUrl();
  const state = useServiceGraph(time.range, golden);
  const focus = one(search['focus']);
  const hops = Math.max(1, Math.min(4, Number(one(search['hops']) ?? 1) || 1));
  const [filter, setFilter] = useState('');
  const [selected, setSelected] = useState<string>();
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const choice = one(search['group']);
  const grouped = choice === '1' || (choice === undefined && state.graph.nodes.length > groupFrom);
  const graph = useMemo(() => {
    let g = filterGraph(state.graph, filter);
    if (focus) g = focusGraph(g, focus, hops);
    return grouped ? groupGraph(g, opened) : g;
  }, [state.graph, filter, focus, hops, grouped, opened]);
  const node = graph.nodes.find((n) => n.id === selected);
  if (state.pending || golden.pending) return <Loading what="the map" />;
  return (
    <div className="page fill">
      {state.error ? <ErrorBox error={state.error} onRetry={time.refresh} /> : null}
      <section className="panel mappanel" aria-label="Service map">
        <LoadingBar on={state.fetching || golden.fetching} />
        <header>
          <h2>Services</h2>
          <span className="muted num">{state.graph.nodes.length}</span>
          <input className="input" style={{ width: 200, height: 24 }} placeholder="Filter by name" aria-label="Filter services" value={filter} onChange={(e) => setFilter(e.target.value)} />
          {focus && (
            <span className="chip">
              around <b className="clip">{focus}</b>
              <select className="chipselect" aria-label="How many steps" value={hops} onChange={(e) => set({ hops: e.target.value }, true)}>
                {[1, 2, 3, 4].map((n) => (
                  <option key={n} value={n}>
                    {n} {n === 1 ? 'step' : 'steps'}
                  </option>
                ))}
              </select>
              <button type="button" aria-label="Show the whole map" onClick={() => set({ focus: undefined, hops: undefined })}>
                ×
              </button>
            </span>
          )}
          <Button small pressed={grouped} onClick={() => set({ group: grouped ? '0' : '1' }, true)}>
            Group by namespace
          </Button>
          {grouped && opened.size > 0 && (
            <Button small kind="quiet" onClick={() => setOpened(new Set())}>
              Close {opened.size} opened
            </Button>
          )}
          <span className="grow" />
          <span className="faint hide-small">ring: share of errors · width: calls per second</span>
          {toggle}
        </header>
        {!state.measured && state.graph.nodes.length > 0 && <Partial warnings={['No calls between services were measured in this time range: they are derived from traces whose client and server spans both arrive.']} />}
        {graph.nodes.length === 0 ? (
          <Empty title={filter ? `No service is called “${filter}”` : 'No services in this time range'} action={filter ? <Button onClick={() => setFilter('')}>Clear the filter</Button> : <Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            The map is derived from the traces that services send.
          </Empty>
        ) : (
          <div className="mapbody">
            <GraphView graph={graph} selected={selected} onSelect={setSelected} label={`${graph.nodes.length} services and ${graph.edges.length} connections; the list view has the same services as a table`} />
            {node && (
              <NodeDrawer
                node={node}
                graph={graph}
                onSelect={setSelected}
                onClose={() => setSelected(undefined)}
                onFocus={() => set({ focus: node.id, hops: '1' })}
                onOpen={() => {
                  setOpened(new Set([...opened, node.namespace]));
                  setSelected(undefined);
                }}
              />
            )}
          </div>
        )}
      </section>
    </div>
  );
}

interface DrawerProps {
  node: Node;
  graph: Graph;
  onSelect: (id: string) => void;
  onClose: () => void;
  onFocus: () => void;
  onOpen: () => void;
}

function NodeDrawer({ node, graph, onSelect, onClose, onFocus, onOpen }: DrawerProps): JSX.Element {
  const label = useServiceLabel();
  const group = node.kind === 'group';
  const service = node.kind === 'service';
  const name = group ? node.namespace : node.id;
  const via = 'Map';
  return (
    <aside className="drawer mapdrawer" aria-label={`Details of ${name}`} data-testid="node-drawer">
      <header className="row">
        <b className="clip grow">{name}</b>
        <span className="tag">{node.kind}</span>
        <IconButton icon="x" kind="quiet" small label="Close" onClick={onClose} />
      </header>
      <dl className="facts">
        <div>
          <dt>Requests</dt>
          <dd className="num">{formatValue(node.rate, 'perSecond')}</dd>
        </div>
        <div>
          <dt>Errors</dt>
          <dd className="num">{node.errors >= 0.01 ? <span className="tag" data-s="bad">{formatValue(node.errors, 'ratio')}</span> : formatValue(node.errors, 'ratio')}</dd>
        </div>
        <div>
          <dt>p95</dt>
          <dd className="num">{node.p95 === undefined ? '–' : seconds(node.p95)}</dd>
        </div>
      </dl>
      <div className="row wrap acts">
        {service && (
          <>
            <GoLink className="btn primary small" to={`/services/${encodeURIComponent(node.id)}`} search={{ svc: node.id, via }}>
              Open service
            </GoLink>
            <GoLink className="btn small" to="/traces" search={{ q: tracesForService(node.id, node.errors >= 0.01 ? 'status = error' : ''), svc: node.id, via }}>
              {node.errors >= 0.01 ? 'Failed traces' : 'Traces'}
            </GoLink>
            <GoLink className="btn small" to="/logs" search={{ q: logsForService(node.id), svc: node.id, via }}>
              Logs
            </GoLink>
            <GoLink className="btn small" to="/explore/metrics" search={{ match: metricMatcher(node.id, label), svc: node.id, via }}>
              Metrics
            </GoLink>
          </>
        )}
        {group ? (
          <Button small onClick={onOpen}>
            Show its {node.members.length} services
          </Button>
        ) : (
          <Button small onClick={onFocus}>
            Only its neighbours
          </Button>
        )}
      </div>
      <Calls title="Called by" list={graph.edges.filter((e) => e.to === node.id)} other={(e) => e.from} onSelect={onSelect} />
      <Calls title="Calls" list={graph.edges.filter((e) => e.from === node.id)} other={(e) => e.to} onSelect={onSelect} />
      {group && (
        <section>
          <h3>Members</h3>
          <ul className="members">
            {node.members.slice(0, 100).map((m) => (
              <li key={m}>
                <GoLink to={`/services/${encodeURIComponent(m)}`} search={{ svc: m, via }}>
                  {m}
                </GoLink>
              </li>
            ))}
          </ul>
        </section>
      )}
    </aside>
  );
}

/** The connections of a service in one direction. */
export function Calls({ title, list, other, onSelect }: { title: string; list: Edge[]; other: (e: Edge) => string; onSelect: (id: string) => void }): JSX.Element | null {
  if (list.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <table className="table">
        <thead>
          <tr>
            <th>Service</th>
            <th className="r">Calls</th>
            <th className="r">Errors</th>
            <th className="r">p95</th>
          </tr>
        </thead>
        <tbody>
          {[...list]
            .sort((a, b) => b.rate - a.rate)
            .map((e) => (
              <tr key={`${other(e)}${e.kind}`}>
                <td>
                  <button type="button" className="link clip" onClick={() => onSelect(other(e))}>
                    {other(e).replace(/^group:/, '')}
                  </button>
                  {e.kind && <span className="faint"> {e.kind.replace('_', ' ')}</span>}
                </td>
                <td className="r">{formatValue(e.rate, 'perSecond')}</td>
                <td className="r">{e.errors >= 0.01 ? <span className="tag" data-s="bad">{formatValue(e.errors, 'ratio')}</span> : <span className="muted">{formatValue(e.errors, 'ratio')}</span>}</td>
                <td className="r">{e.p95 === undefined ? '–' : seconds(e.p95)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </section>
  );
}
