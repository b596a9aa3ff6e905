/** Saving an edited dashboard, over the old one or as a copy. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Dialog } from 'radix-ui';
import { useState } from 'react';
import type { JSX } from 'react';
import { flushSync } from 'react-dom';
import { useUrl } from '@/app/url';
import { ApiError } from '@/core/api/http';
import { folders, rawText, saveText } from '@/grafana/api';
import type { DashboardMeta } from '@/grafana/api';
import type { Dashboard } from '@/grafana/model';
import { Button, ErrorBox } from '@/ui/kit';
import { draftText } from './edit';
import type { Draft } from './edit';

export default function SaveDialog({ meta, dashboard, draft, onClose, onSaved }: { meta: DashboardMeta; dashboard: Dashboard; draft: Draft; onClose: () => void; onSaved: () => void }): JSX.Element {
  const client = useQueryClient();
  const { go } = useUrl();
  const [copy, setCopy] = useState(meta.provisioned);
  const [title, setTitle] = useState(dashboard.title);
  const [message, setMessage] = useState('');
  const [folder, setFolder] = useState(meta.folderUid ?? '');
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const list = useQuery({ queryKey: ['folders'], queryFn: ({ signal }) => folders(signal), retry: false, meta: { clock: false } });

  const save = async (overwrite: boolean) => {
    setBusy(true);
    const name = copy && title === dashboard.title ? `${title} (copy)` : title;
    try {
      const source = draft.text ?? (await rawText(dashboard.uid));
      const text = draftText(source, { ...dashboard.raw, title: name }, copy ? { id: undefined, uid: undefined, version: undefined } : { uid: dashboard.uid, version: meta.version });
      const saved = await saveText(text, { folderUid: folder, message, overwrite });
      await client.invalidateQueries({ queryKey: ['dashboard'] });
      void client.invalidateQueries({ queryKey: ['dashboards'] });
      // At once: going to the copy then leaves no unsaved edits behind.
      flushSync(onSaved);
      if (copy) go(saved.url);
    } catch (err) {
      setError(err);
      setBusy(false);
    }
  };
  const conflict = error instanceof ApiError && error.status === 412;
  return (
    <Dialog.Root open onOpenChange={(o) => !o && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" aria-describedby={undefined}>
          <header>
            <Dialog.Title className="grow g-dialogtitle">Save {dashboard.title}</Dialog.Title>
          </header>
          <form
            className="g-fields g-pad"
            onSubmit={(e) => {
              e.preventDefault();
              void save(false);
            }}
          >
            {meta.provisioned && <p className="muted">This dashboard comes from the file {meta.provisionedExternalId}; only the file changes it. A copy can be saved.</p>}
            {meta.source === 'shipped' && !copy && <p className="muted">This dashboard is shipped with Pharos. Your version takes its place; deleting it brings the shipped one back.</p>}
            <label className="g-field">
              <span>Title</span>
              <input className="input" value={title} onChange={(e) => setTitle(e.target.value)} required />
            </label>
            <label className="g-field">
              <span>Folder</span>
              <select className="select" value={folder} onChange={(e) => setFolder(e.target.value)}>
                <option value="">None</option>
                {list.data?.map((f) => (
                  <option key={f.uid} value={f.uid}>
                    {f.title}
                  </option>
                ))}
              </select>
            </label>
            <label className="g-field">
              <span>What changed</span>
              <input className="input" value={message} onChange={(e) => setMessage(e.target.value)} placeholder="for the history" autoFocus />
            </label>
            {!meta.provisioned && (
              <label className="row">
                <input type="checkbox" checked={copy} onChange={(e) => setCopy(e.target.checked)} /> Save as a copy
              </label>
            )}
            {conflict ? (
              <div className="notice" role="alert">
                <span className="grow">Someone else has saved this dashboard since you opened it. Saving now replaces their version; it stays in the history.</span>
                <Button small kind="danger" onClick={() => void save(true)}>
                  Replace it
                </Button>
              </div>
            ) : (
              error !== undefined && <ErrorBox error={error} />
            )}
            <div className="row g-end">
              <Button onClick={onClose}>Cancel</Button>
              <Button kind="primary" type="submit" disabled={busy}>
                Save
              </Button>
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
