/** Puts a query on a dashboard, a new one or one that is there. */
import './add-panel.css';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Dialog } from 'radix-ui';
import { useState } from 'react';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import type { Unit } from '@/core/units/units';
import { loadDashboard, saveText, searchDashboards } from '@/grafana/api';
import { Button, ErrorBox } from '@/ui/kit';
import { emptyDashboard, withPanel } from './panel';

const fresh = '';

export default function AddPanel({ expr, title, unit, onClose }: { expr: string; title: string; unit: Unit; onClose: () => void }): JSX.Element {
  const client = useQueryClient();
  const [uid, setUid] = useState(fresh);
  const [name, setName] = useState('My dashboard');
  const [panel, setPanel] = useState(title);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [url, setUrl] = useState<string>();
  const list = useQuery({ queryKey: ['dashboards'], queryFn: ({ signal }) => searchDashboards({}, signal), retry: false, meta: { clock: false } });

  const add = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const message = `Added ${panel}`;
      if (uid === fresh) {
        setUrl((await saveText(JSON.stringify(withPanel(emptyDashboard(name), panel, expr, unit), null, 2), { message })).url);
      } else {
        const { meta, dashboard } = await loadDashboard(uid);
        const next = { ...withPanel(dashboard, panel, expr, unit), uid, id: null, version: meta.version };
        setUrl((await saveText(JSON.stringify(next, null, 2), { folderUid: meta.folderUid, message })).url);
      }
      void client.invalidateQueries({ queryKey: ['dashboard'] });
      void client.invalidateQueries({ queryKey: ['dashboards'] });
    } catch (err) {
      setError(err);
    }
    setBusy(false);
  };
  return (
    <Dialog.Root open onOpenChange={(o) => !o && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" aria-describedby={undefined} data-testid="add-panel">
          <header>
            <Dialog.Title className="grow" style={{ fontSize: 14 }}>
              Add to a dashboard
            </Dialog.Title>
          </header>
          {url !== undefined ? (
            <div className="addpanel">
              <p>The panel “{panel}” is on the dashboard, at the top.</p>
              <div className="row">
                <Button onClick={onClose}>Stay here</Button>
                <GoLink className="btn primary" to={url} search={{ via: 'Metrics' }}>
                  Open the dashboard
                </GoLink>
              </div>
            </div>
          ) : (
            <form
              className="addpanel"
              onSubmit={(e) => {
                e.preventDefault();
                void add();
              }}
            >
              <code>{expr}</code>
              <label>
                <span>Dashboard</span>
                <select className="select" value={uid} onChange={(e) => setUid(e.target.value)}>
                  <option value={fresh}>New dashboard</option>
                  {(list.data ?? [])
                    .filter((d) => d.source !== 'file')
                    .map((d) => (
                      <option key={d.uid} value={d.uid}>
                        {d.title}
                        {d.source === 'shipped' && ' (shipped; your version takes its place)'}
                      </option>
                    ))}
                </select>
              </label>
              {uid === fresh && (
                <label>
                  <span>Title of the dashboard</span>
                  <input className="input" value={name} onChange={(e) => setName(e.target.value)} required />
                </label>
              )}
              <label>
                <span>Title of the panel</span>
                <input className="input" value={panel} onChange={(e) => setPanel(e.target.value)} required />
              </label>
              {list.error ? <ErrorBox error={list.error} /> : null}
              {error !== undefined && <ErrorBox error={error} />}
              <div className="row">
                <Button onClick={onClose}>Cancel</Button>
                <Button kind="primary" type="submit" disabled={busy}>
                  Add
                </Button>
              </div>
            </form>
          )}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
