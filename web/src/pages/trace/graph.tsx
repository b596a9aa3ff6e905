/** The trace as a map of its services. */
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { traceGraph } from '@/core/trace/services';
import type { TraceTree } from '@/core/trace/tree';
import { count, seconds } from '@/core/units/units';
import GraphView from '@/viz/graph-view';

export default function TraceGraph({ tree, onFind }: { tree: TraceTree; onFind: (service: string) => void }): JSX.Element {
  const { graph, totals } = useMemo(() => traceGraph(tree), [tree]);
  const [selected, setSelected] = useState<string>();
  return (
    <GraphView
      graph={graph}
      selected={selected}
      onSelect={(id) => {
        setSelected(id);
        onFind(id ?? '');
      }}
      label={`${graph.nodes.length} services of this trace and ${graph.edges.length} connections; the spans table has the same spans`}
      detail={(n) => {
        const s = totals.get(n.id)!;
        return `${count(s.spans)} spans · ${seconds(s.self / 1000)} self`;
      }}
      edgeDetail={(e) => `${count(e.rate)} ${e.rate === 1 ? 'call' : 'calls'}${e.errors > 0 ? ` · ${count(Math.round(e.rate * e.errors))} failed` : ''}`}
    />
  );
}
