/** All dashboards: search, folders, tags, stars; and bringing in those of Grafana. */
import './dashboards.css';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import type { JSX } from 'react';
import { GoLink, useUrl } from '@/app/url';
import { ago } from '@/core/time/range';
import { all, one } from '@/core/url/search';
import { deleteDashboard, saveText, searchDashboards, starDashboard } from '@/grafana/api';
import type { Hit } from '@/grafana/api';
import { Icon } from '@/ui/icons';
import { Button, Empty, ErrorBox, IconButton, Loading } from '@/ui/kit';

const Import = lazy(() => import('./import'));

export default function DashboardsPage(): JSX.Element {
  const { search, set, go } = useUrl();
  const client = useQueryClient();
  const q = useQuery({ queryKey: ['dashboards'], queryFn: ({ signal }) => searchDashboards({}, signal), retry: false, meta: { clock: false } });
  const [importing, setImporting] = useState(search['import'] !== undefined);
  const [dropped, setDropped] = useState<File[]>([]);
  const [over, setOver] = useState(false);
  const text = one(search['q']) ?? '';
  const tags = all(search['tag']);
  const folder = one(search['folder']);
  const starred = search['starred'] !== undefined;

  const hits = (q.data ?? []).filter((d) => `${d.title} ${d.folderTitle ?? ''} ${d.tags.join(' ')}`.toLowerCase().includes(text.toLowerCase()) && tags.every((t) => d.tags.includes(t)) && (!folder || d.folderUid === folder) && (!starred || d.isStarred));
  const groups = new Map<string, Hit[]>();
  for (const d of hits) groups.set(d.folderTitle ?? '', [...(groups.get(d.folderTitle ?? '') ?? []), d]);
  const order = [...groups.keys()].sort((a, b) => (a === '' ? -1 : b === '' ? 1 : a.localeCompare(b)));
  const counts = new Map<string, number>();
  for (const d of q.data ?? []) for (const t of d.tags) counts.set(t, (counts.get(t) ?? 0) + 1);
  const folders = [...new Map((q.data ?? []).filter((d) => d.folderUid).map((d) => [d.folderUid!, d.folderTitle!])).entries()];
  const toggleTag = (t: string) => set({ tag: tags.includes(t) ? tags.filter((x) => x !== t) : [...tags, t] });
  const refetch = () => client.invalidateQueries({ queryKey: ['dashboards'] });

  const create = async () => {
    const saved = await saveText(JSON.stringify({ title: `New dashboard ${new Date().toLocaleString('sv-SE')}`, tags: [], panels: [], schemaVersion: 39, time: { from: 'now-1h', to: 'now' } }), { message: 'Created' });
    await refetch();
    go(saved.url);
  };

  return (
    <div
      className={`page d-list${over ? ' over' : ''}`}
      onDragOver={(e) => {
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={(e) => e.currentTarget === e.target && setOver(false)}
      onDrop={(e) => {
        e.preventDefault();
        setOver(false);
        setDropped([...e.dataTransfer.files]);
        setImporting(true);
      }}
    >
      <div className="row d-bar">
        <span className="d-search" data-query>
          <Icon name="search" size={14} />
          <input className="input" aria-label="Search dashboards" placeholder="Search by title, folder or tag" value={text} onChange={(e) => set({ q: e.target.value || undefined }, true)} />
        </span>
        {folders.length > 0 && (
          <select className="select" aria-label="Folder" value={folder ?? ''} onChange={(e) => set({ folder: e.target.value || undefined })}>
            <option value="">All folders</option>
            {folders.map(([uid, title]) => (
              <option key={uid} value={uid}>
                {title}
              </option>
            ))}
          </select>
        )}
        <Button icon="star" pressed={starred} onClick={() => set({ starred: starred ? undefined : '1' })}>
          Starred
        </Button>
        <span className="grow" />
        <Button icon="import" onClick={() => setImporting(true)}>
          Import
        </Button>
        <Button kind="primary" icon="plus" onClick={() => void create()}>
          New
        </Button>
      </div>
      {counts.size > 0 && (
        <div className="row d-tags" role="group" aria-label="Tags">
          {[...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, 24).map(([t, n]) => (
            <button key={t} type="button" className="chip" aria-pressed={tags.includes(t)} onClick={() => toggleTag(t)}>
              {t} <span className="faint num">{n}</span>
            </button>
          ))}
        </div>
      )}
      {q.isLoading && <Loading what="dashboards" />}
      {q.error && <ErrorBox error={q.error} onRetry={() => void q.refetch()} />}
      {q.data && hits.length === 0 && (
        <Empty title={q.data.length === 0 ? 'No dashboards yet' : 'No dashboard matches'} action={q.data.length === 0 ? <Button icon="import" onClick={() => setImporting(true)}>Import one from Grafana</Button> : <Button onClick={() => set({ q: undefined, tag: undefined, folder: undefined, starred: undefined })}>Show all</Button>}>
          {q.data.length === 0 ? 'Drop the JSON of a Grafana dashboard anywhere on this page.' : 'Nothing has this text, these tags and this folder.'}
        </Empty>
      )}
      {order.map((name) => (
        <section key={name} className="card d-group" aria-label={name || 'No folder'}>
          <h2>{name || 'No folder'}</h2>
          <ul>
            {groups.get(name)!.map((d) => (
              <li key={d.uid} data-testid="dashboardrow">
                <IconButton icon="star" kind="quiet" small aria-pressed={d.isStarred} className={d.isStarred ? 'g-starred' : ''} label={d.isStarred ? `Remove the star of ${d.title}` : `Star ${d.title}`} onClick={() => void starDashboard(d.uid, !d.isStarred).then(refetch)} />
                <GoLink className="d-title clip" to={`/d/${d.uid}/${d.slug}`}>
                  {d.title}
                </GoLink>
                {d.tags.slice(0, 6).map((t) => (
                  <span key={t} className="tag hide-small">
                    {t}
                  </span>
                ))}
                <span className="grow" />
                <span className="muted hide-small">{d.source === 'shipped' ? 'shipped' : d.source === 'file' ? 'from a file' : d.updated ? `saved ${ago(Date.parse(d.updated), Date.now())}` : ''}</span>
                {d.source === 'saved' && <Delete hit={d} onDone={refetch} />}
              </li>
            ))}
          </ul>
        </section>
      ))}
      <Suspense>
        {importing && (
          <Import
            files={dropped}
            onClose={() => {
              setImporting(false);
              setDropped([]);
              if (search['import'] !== undefined) set({ import: undefined }, true);
              void refetch();
            }}
          />
        )}
      </Suspense>
    </div>
  );
}

function Delete({ hit, onDone }: { hit: Hit; onDone: () => Promise<void> }): JSX.Element {
  const [sure, setSure] = useState(false);
  if (!sure) return <IconButton icon="trash" kind="quiet" small label={`Delete ${hit.title}`} onClick={() => setSure(true)} />;
  return (
    <Button small kind="danger" autoFocus onBlur={() => setSure(false)} onClick={() => void deleteDashboard(hit.uid).then(onDone)}>
      Delete?
    </Button>
  );
}
