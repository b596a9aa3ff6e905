/** The name of what a page shows, once it knows it: for the breadcrumb and the window. */
import { useEffect, useSyncExternalStore } from 'react';

let current: string | undefined;
const listeners = new Set<() => void>();

function set(title: string | undefined): void {
  current = title;
  for (const l of listeners) l();
}

export function usePageTitle(): string | undefined {
  return useSyncExternalStore(
    (l) => {
      listeners.add(l);
      return () => listeners.delete(l);
    },
    () => current,
  );
}

/** Names the page for as long as the component is shown. */
export function useNamePage(title: string | undefined): void {
  useEffect(() => {
    if (!title) return;
    set(title);
    document.title = `${title} · Pharos`;
    return () => set(undefined);
  }, [title]);
}
