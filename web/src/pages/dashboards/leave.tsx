/** Asks before unsaved edits of a dashboard are lost: by a link, by Back, by closing the tab. */
import { useBlocker } from '@tanstack/react-router';
import { Dialog } from 'radix-ui';
import type { JSX } from 'react';
import { Button } from '@/ui/kit';

/** `changed` is asked at the moment of leaving. What stays on the same path, such as opening a panel, keeps the edits. */
export function LeaveGuard({ title, changed, onSave }: { title: string; changed: () => boolean; onSave: () => void }): JSX.Element | null {
  const leaving = useBlocker({ shouldBlockFn: ({ current, next }) => next.pathname !== current.pathname && changed(), enableBeforeUnload: changed, withResolver: true });
  if (leaving.status !== 'blocked') return null;
  return (
    <Dialog.Root open onOpenChange={(o) => !o && leaving.reset()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" role="alertdialog">
          <header>
            <Dialog.Title className="grow g-dialogtitle">Leave without saving?</Dialog.Title>
          </header>
          <div className="g-fields g-pad">
            <Dialog.Description>Your edits of {title} are not saved yet and will be lost.</Dialog.Description>
            <div className="row g-end">
              <Button kind="danger" onClick={leaving.proceed}>
                Discard and leave
              </Button>
              <span className="grow" />
              <Button onClick={leaving.reset} autoFocus>
                Keep editing
              </Button>
              <Button
                kind="primary"
                onClick={() => {
                  leaving.reset();
                  onSave();
                }}
              >
                Save…
              </Button>
            </div>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
