/** The theme: follows the system until the user chooses. public/theme.js applies it before the first paint. */
import { useSyncExternalStore } from 'react';

export type Theme = 'dark' | 'light';

const listeners = new Set<() => void>();

function current(): Theme {
  return document.documentElement.dataset['theme'] === 'light' ? 'light' : 'dark';
}

function apply(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
  for (const l of listeners) l();
}

export function setTheme(theme: Theme): void {
  try {
    localStorage.setItem('pharos.theme', theme);
  } catch {
    // The choice lasts for this page then.
  }
  apply(theme);
}

/** Follows the system while no choice has been made. */
export function followSystem(): void {
  const media = matchMedia('(prefers-color-scheme: light)');
  media.addEventListener('change', () => {
    let chosen: string | null = null;
    try {
      chosen = localStorage.getItem('pharos.theme');
    } catch {
      // Storage is blocked, so nothing can have been chosen before.
    }
    if (!chosen || chosen === 'system') apply(media.matches ? 'light' : 'dark');
  });
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (l) => {
      listeners.add(l);
      return () => listeners.delete(l);
    },
    current,
    () => 'dark',
  );
}

/** The value of a colour token in the current theme. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
