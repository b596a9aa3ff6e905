/** Admin: what costs, what is refused, what is kept, how it is set up. */
import './admin.css';
import type { JSX } from 'react';
import { useUrl } from '@/app/url';
import { one } from '@/core/url/search';
import { Tabs } from '@/ui/kit';
import { CardinalityTab } from './cardinality';
import { IngestTab } from './ingest';
import { QueriesTab } from './queries';
import { StatusTab } from './status';
import { StorageTab } from './storage';

const tabs: { id: string; label: string; body: () => JSX.Element }[] = [
  { id: 'cardinality', label: 'Cardinality', body: CardinalityTab },
  { id: 'queries', label: 'Queries', body: QueriesTab },
  { id: 'ingest', label: 'Ingest', body: IngestTab },
  { id: 'retention', label: 'Retention & disk', body: StorageTab },
  { id: 'status', label: 'Status', body: StatusTab },
];

export default function AdminPage(): JSX.Element {
  const { search, set } = useUrl();
  const current = tabs.find((t) => t.id === one(search['tab'])) ?? tabs[0]!;
  const Body = current.body;
  return (
    <div className="page admin">
      <div className="panel admintabs">
        <Tabs label="Admin" value={current.id} onChange={(v) => set({ tab: v === 'cardinality' ? undefined : v, of: undefined, drill: undefined, label: undefined })} tabs={tabs.map((t) => ({ id: t.id, label: t.label }))} />
      </div>
      <Body />
    </div>
  );
}
