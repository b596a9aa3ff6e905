/** The theme: follows the system until the user chooses. public/theme.js applies it before the first paint. */
import { useSyncExternalStore } from 'react';

export type Theme = 'dark' | 'light';
export type ThemeChoice = Theme | 'system';

const listeners = new Set<() => void>();

function current(): Theme {
  return document.documentElement.dataset['theme'] === 'light' ? 'light' : 'dark';
}

function apply(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
  for (const l of listeners) l();
}

function chosen(): ThemeChoice {
  try {
    const c = localStorage.getItem('pharos.theme');
    return c === 'dark' || c === 'light' ? c : 'system';
  } catch {
    return 'system';
  }
}

const system = (): Theme => (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark');

export function setTheme(choice: ThemeChoice): void {
  try {
    localStorage.setItem('pharos.theme', choice);
  } catch {
    // The choice lasts for this page then.
  }
  apply(choice === 'system' ? system() : choice);
}

/** Follows the system while no choice has been made. */
export function followSystem(): void {
  matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => chosen() === 'system' && apply(system()));
}

export function useThemeChoice(): { choice: ThemeChoice; theme: Theme } {
  const theme = useTheme();
  return { choice: chosen(), theme };
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
