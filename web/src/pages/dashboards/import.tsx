/** Importing dashboards: files or pasted text, with a report of every panel before anything is saved. */
import { useQuery } from '@tanstack/react-query';
import { Dialog } from 'radix-ui';
import { useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useUrl } from '@/app/url';
import { createFolder, folders, saveText } from '@/grafana/api';
import { obj, str } from '@/grafana/model';
import { readDashboard } from '@/grafana/project';
import { report } from '@/grafana/support';
import type { Report } from '@/grafana/support';
import { Icon } from '@/ui/icons';
import { Button, ErrorBox } from '@/ui/kit';

interface Candidate {
  file: string;
  text: string;
  title: string;
  report?: Report;
  error?: unknown;
}

/** The dashboard's own text: what is below "dashboard" when the file is an answer of Grafana's API. */
export function innerText(text: string): string {
  const outer = obj(JSON.parse(text));
  const inner = obj(outer['dashboard']);
  return Object.keys(inner).length > 0 && !outer['panels'] && !outer['rows'] ? JSON.stringify(inner, null, 2) : text.trim();
}

/** Puts a title into a text that has none and leaves every other byte as it is. */
export function withTitle(text: string, title: string): string {
  const has = str(obj(JSON.parse(text))['title']);
  return has ? text : text.replace('{', `{"title":${JSON.stringify(title)},`);
}

function examine(file: string, source: string): Candidate {
  try {
    const text = innerText(source);
    const d = readDashboard(JSON.parse(text));
    return { file, text, title: d.title || file.replace(/\.json$/, '') || 'Imported dashboard', report: report(d) };
  } catch (err) {
    return { file, text: source, title: '', error: err instanceof SyntaxError ? new Error(`This is not JSON: ${err.message}`) : err };
  }
}

export default function Import({ files, onClose }: { files: File[]; onClose: () => void }): JSX.Element {
  const { go } = useUrl();
  const [list, setList] = useState<Candidate[]>([]);
  const [pasted, setPasted] = useState('');
  const [folder, setFolder] = useState('');
  const [newFolder, setNewFolder] = useState('');
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const known = useQuery({ queryKey: ['folders'], queryFn: ({ signal }) => folders(signal), retry: false, meta: { clock: false } });

  const add = (more: File[]) => {
    void Promise.all(more.map(async (f) => examine(f.name, await f.text()))).then((c) => setList((old) => [...old, ...c]));
  };
  useEffect(() => add(files), []);

  const all = useMemo(() => (pasted.trim() ? [...list, examine('', pasted)] : list), [list, pasted]);
  const good = all.filter((c) => c.report);
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const uid = folder === '+' ? (await createFolder(newFolder)).uid : folder;
      let url = '';
      for (const c of good) url = (await saveText(withTitle(c.text, c.title), { folderUid: uid, message: c.file ? `Imported from ${c.file}` : 'Imported', overwrite: true })).url;
      onClose();
      if (good.length === 1) go(url);
    } catch (err) {
      setError(err);
      setBusy(false);
    }
  };
  return (
    <Dialog.Root open onOpenChange={(o) => !o && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog g-wide" aria-describedby={undefined}>
          <header>
            <Dialog.Title className="grow g-dialogtitle">Import dashboards</Dialog.Title>
            <Dialog.Close asChild>
              <button type="button" className="btn quiet icon" aria-label="Close">
                <Icon name="x" />
              </button>
            </Dialog.Close>
          </header>
          <div className="g-fields g-pad">
            <label
              className="d-drop"
              onDragOver={(e) => e.preventDefault()}
              onDrop={(e) => {
                e.preventDefault();
                e.stopPropagation();
                add([...e.dataTransfer.files]);
              }}
            >
              <Icon name="import" size={18} />
              <span>Drop Grafana dashboards here, or choose files</span>
              <input type="file" accept=".json,application/json" multiple aria-label="Dashboard files" onChange={(e) => add([...(e.target.files ?? [])])} />
            </label>
            <textarea className="input d-paste mono" aria-label="Dashboard JSON" placeholder="or paste the JSON" spellCheck={false} value={pasted} onChange={(e) => setPasted(e.target.value)} />
            {all.map((c, i) => (
              <Examined key={i} c={c} />
            ))}
            {error !== undefined && <ErrorBox error={error} />}
            <div className="row">
              <label className="g-field">
                <span>Folder</span>
                <select className="select" value={folder} onChange={(e) => setFolder(e.target.value)}>
                  <option value="">None</option>
                  {known.data?.map((f) => (
                    <option key={f.uid} value={f.uid}>
                      {f.title}
                    </option>
                  ))}
                  <option value="+">New folder…</option>
                </select>
              </label>
              {folder === '+' && <input className="input" aria-label="Name of the new folder" placeholder="Name" value={newFolder} onChange={(e) => setNewFolder(e.target.value)} />}
              <span className="grow" />
              <span className="muted">A dashboard with the same uid gets a new version.</span>
              <Button kind="primary" disabled={good.length === 0 || busy || (folder === '+' && !newFolder.trim())} onClick={() => void save()}>
                {good.length > 1 ? `Import ${good.length} dashboards` : 'Import'}
              </Button>
            </div>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Examined({ c }: { c: Candidate }): JSX.Element {
  const r = c.report;
  if (!r) return <ErrorBox error={new Error(`${c.file ? `${c.file}: ` : ''}${c.error instanceof Error ? c.error.message : String(c.error)}`)} />;
  const degraded = r.panels.filter((p) => p.problems.length > 0);
  return (
    <section className="d-report" data-testid="report">
      <div className="row">
        <b className="clip">{c.title}</b>
        <span className="muted">
          {r.panels.length} panels: {r.supported} drawn as in Grafana
          {degraded.length > 0 ? `, ${degraded.length} in another way` : ''}
        </span>
      </div>
      {degraded.length + r.variables.length > 0 && (
        <ul>
          {degraded.slice(0, 40).map((p, i) => (
            <li key={i}>
              <span className="clip">{p.panel.title || p.panel.type}</span>
              <span className="muted">{p.problems.join(', ')}</span>
            </li>
          ))}
          {r.variables.map((v) => (
            <li key={v.name}>
              <span className="mono">${v.name}</span>
              <span className="muted">{v.problem}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
