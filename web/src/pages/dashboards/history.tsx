/** Earlier versions of a dashboard: what changed, and going back. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Dialog } from 'radix-ui';
import { useState } from 'react';
import type { JSX } from 'react';
import { formatTime } from '@/core/time/range';
import { restore, version, versions } from '@/grafana/api';
import { Icon } from '@/ui/icons';
import { Button, ErrorBox, Loading } from '@/ui/kit';
import { diffLines } from './diff';

export default function History({ uid, current, readOnly, onClose }: { uid: string; current: number; readOnly: boolean; onClose: () => void }): JSX.Element {
  const client = useQueryClient();
  const [at, setAt] = useState<number>();
  const [error, setError] = useState<unknown>();
  const list = useQuery({ queryKey: ['versions', uid], queryFn: ({ signal }) => versions(uid, signal), retry: false, staleTime: 0, meta: { clock: false } });
  const older = list.data?.find((v) => v.version < (at ?? 0))?.version;
  const diff = useQuery({
    queryKey: ['versiondiff', uid, at, older],
    queryFn: async ({ signal }) => {
      const [b, a] = await Promise.all([version(uid, at!, signal), older ? version(uid, older, signal) : undefined]);
      return diffLines(JSON.stringify(a?.data ?? {}, null, 2), JSON.stringify(b.data ?? {}, null, 2));
    },
    enabled: at !== undefined,
    retry: false,
    meta: { clock: false },
  });
  const back = (n: number) =>
    void restore(uid, n).then(
      async () => {
        await client.invalidateQueries({ queryKey: ['dashboard', uid] });
        onClose();
      },
      (err: unknown) => setError(err),
    );
  return (
    <Dialog.Root open onOpenChange={(o) => !o && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog g-wide" aria-describedby={undefined}>
          <header>
            <Dialog.Title className="grow g-dialogtitle">History</Dialog.Title>
            <Dialog.Close asChild>
              <button type="button" className="btn quiet icon" aria-label="Close">
                <Icon name="x" />
              </button>
            </Dialog.Close>
          </header>
          <div className="g-history">
            {list.isLoading && <Loading what="the history" />}
            {list.error && <ErrorBox error={list.error} />}
            {error !== undefined && <ErrorBox error={error} />}
            <ol data-testid="versions">
              {list.data?.map((v) => (
                <li key={v.version} className="row">
                  <button type="button" className="item" aria-pressed={at === v.version} onClick={() => setAt(v.version)}>
                    <b className="num">{v.version}</b>
                    <span className="muted num">{Date.parse(v.created) > 0 ? formatTime(Date.parse(v.created)) : ''}</span>
                    <span className="clip">{v.message || (v.version === current ? 'current' : '')}</span>
                  </button>
                  {v.version !== current && !readOnly && (
                    <Button small onClick={() => back(v.version)}>
                      Restore
                    </Button>
                  )}
                </li>
              ))}
            </ol>
            <div className="g-diff" tabIndex={0} role="region" aria-label="What changed">
              {at === undefined ? (
                <div className="g-empty">Choose a version to see what it changed</div>
              ) : diff.error ? (
                <ErrorBox error={diff.error} />
              ) : (
                <pre>
                  {diff.data?.map((l, i) => (
                    <span key={i} className={l.kind === '+' ? 'add' : l.kind === '-' ? 'del' : l.kind === '…' ? 'gap' : ''}>
                      {l.kind} {l.text}
                      {'\n'}
                    </span>
                  ))}
                  {diff.data?.length === 0 && 'Nothing changed.'}
                </pre>
              )}
            </div>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
