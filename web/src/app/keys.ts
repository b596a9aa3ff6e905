/** Keyboard shortcuts. They are off while the user types. */
import { useEffect, useRef } from 'react';

export type KeyMap = Record<string, (e: KeyboardEvent) => void>;

export function isTyping(target: EventTarget | null): boolean {
  const el = target as HTMLElement | null;
  if (!el || !('tagName' in el)) return false;
  return el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName);
}

/** Calls the handler of the pressed key; `g m` style pairs are written with a space. */
export function useKeys(map: KeyMap): void {
  const ref = useRef(map);
  ref.current = map;
  const pending = useRef<{ key: string; at: number } | undefined>(undefined);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const mod = e.ctrlKey || e.metaKey;
      const name = mod ? `Ctrl-${e.key.toLowerCase()}` : e.key;
      if (mod) {
        const h = ref.current[name];
        if (h) {
          e.preventDefault();
          h(e);
        }
        return;
      }
      if (isTyping(e.target) || e.altKey) return;
      // An open dialog or menu has the keyboard to itself.
      if (document.querySelector('[role="dialog"][data-state="open"]') && e.key !== 'Escape') return;
      const p = pending.current;
      pending.current = undefined;
      const pair = p && performance.now() - p.at < 1200 ? ref.current[`${p.key} ${e.key}`] : undefined;
      const h = pair ?? ref.current[e.key];
      if (h && !e.defaultPrevented) {
        e.preventDefault();
        h(e);
        return;
      }
      if (Object.keys(ref.current).some((k) => k.startsWith(`${e.key} `))) pending.current = { key: e.key, at: performance.now() };
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

/** Puts the cursor into the first query editor of the page. */
export function focusQuery(): void {
  document.querySelector<HTMLElement>('[data-query] .cm-content, [data-query] textarea, [data-query] input')?.focus();
}
