/** The icons: 16 px strokes, drawn here so that no icon font or package is needed. */
import type { JSX } from 'react';

const paths = {
  home: 'M2.5 7.2 8 2.7l5.5 4.5v6a.5.5 0 0 1-.5.5h-3.2V9.8H6.2v3.9H3a.5.5 0 0 1-.5-.5z',
  metrics: 'M2 13.5h12M3 11l3.2-4 2.6 2.2L13 3.5',
  logs: 'M2.5 3.5h11M2.5 6.5h7.5M2.5 9.5h11M2.5 12.5h6',
  traces: 'M2 3.5h8M4.5 6.7h6.5M7 9.9h6.5M7 13h3',
  services: 'M8 2.2l5 2.9v5.8L8 13.8l-5-2.9V5.1zM3 5.1l5 2.9 5-2.9M8 8v5.8',
  dashboards: 'M2.5 2.5h5v6h-5zM9.5 2.5h4v3.5h-4zM9.5 8h4v5.5h-4zM2.5 10.5h5v3h-5z',
  star: 'M8 2.2l1.8 3.7 4 .6-2.9 2.8.7 4L8 11.4l-3.6 1.9.7-4L2.2 6.5l4-.6z',
  more: 'M7.6 3.4h.8v.8h-.8zM7.6 7.6h.8v.8h-.8zM7.6 11.8h.8v.8h-.8z',
  pencil: 'M3 13l.6-2.8 7.2-7.2 2.2 2.2-7.2 7.2zM9.4 4.4l2.2 2.2',
  trash: 'M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.6 9h5.8l.6-9',
  import: 'M8 2.5v7M5 6.5l3 3 3-3M2.5 10.5v3h11v-3',
  search: 'M7.2 12.2a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM11 11l3 3',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.5',
  refresh: 'M13 3v3.2H9.8M13 6.2A5.3 5.3 0 1 0 13.2 9',
  share: 'M6.5 9.5 9.5 6.5M7 4.5l1.6-1.6a2.7 2.7 0 0 1 3.9 3.9L11 8.4M9 11.5l-1.6 1.6a2.7 2.7 0 0 1-3.9-3.9L5 7.6',
  help: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.3 6.3a1.8 1.8 0 1 1 2.6 1.8c-.6.3-.9.6-.9 1.2M8 11.4v.1',
  sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.6v1.3M8 13.1v1.3M1.6 8h1.3M13.1 8h1.3M3.5 3.5l.9.9M11.6 11.6l.9.9M12.5 3.5l-.9.9M4.4 11.6l-.9.9',
  moon: 'M13.3 9.6A5.6 5.6 0 0 1 6.4 2.7a5.6 5.6 0 1 0 6.9 6.9z',
  x: 'M4 4l8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  play: 'M5 3.2v9.6L12.6 8z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  chevron: 'M6 4l4 4-4 4',
  down: 'M4 6l4 4 4-4',
  up: 'M4 10l4-4 4 4',
  left: 'M10 4L6 8l4 4',
  copy: 'M5.5 5.5h7v8h-7zM10.5 5.5v-3h-7v8h2',
  check: 'M3 8.5l3.2 3.2L13 4.8',
  warn: 'M8 2.3 14.3 13H1.7zM8 6.4v3.2M8 11.3v.1',
  error: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 5v3.6M8 10.8v.1',
  info: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.4V11M8 5.1v.1',
  zoomout: 'M7.2 12.2a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM11 11l3 3M5 7.2h4.4',
  filter: 'M2 3h12L9.5 8.5v4.7l-3-1.6V8.5z',
  external: 'M6.5 3.5h-3v9h9v-3M9 3h4v4M13 3 7.5 8.5',
  table: 'M2.5 3h11v10h-11zM2.5 6.3h11M2.5 9.6h11M6.5 6.3V13',
  rail: 'M2.5 3h11v10h-11zM6 3v10',
  bolt: 'M9 1.8 3.5 9h4L7 14.2 12.5 7h-4z',
  eye: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 9.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z',
  eyeoff: 'M2 2l12 12M6.3 3.7A7 7 0 0 1 8 3.5C12 3.5 14.5 8 14.5 8a12 12 0 0 1-1.9 2.4M9.8 9.8A2.5 2.5 0 0 1 6.2 6.2M4.2 4.8A11 11 0 0 0 1.5 8S4 12.5 8 12.5c1 0 2-.3 2.8-.7',
  wrap: 'M2.5 3.5h11M2.5 7.5h8.3a2.2 2.2 0 1 1 0 4.5H8M9.8 10.2 8 12l1.8 1.8M2.5 12h3',
  braces: 'M6 2.5c-1.6 0-2 .7-2 2v1.6C4 7.2 3.4 8 2.5 8 3.4 8 4 8.8 4 9.9v1.6c0 1.3.4 2 2 2M10 2.5c1.6 0 2 .7 2 2v1.6c0 1.1.6 1.9 1.5 1.9-.9 0-1.5.8-1.5 1.9v1.6c0 1.3-.4 2-2 2',
  columns: 'M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10',
  sliders: 'M2 4.5h6.5M12 4.5h2M2 11.5h2M7.5 11.5H14M10.2 6.2a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM5.8 13.2a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4z',
  admin: 'M8 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM8 1.8v2M8 12.2v2M1.8 8h2M12.2 8h2M3.6 3.6 5 5M11 11l1.4 1.4M12.4 3.6 11 5M5 11l-1.4 1.4',
  map: 'M4 5.5a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM12 9.7a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM4 13.9a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM5.6 4.5l4.8 2.8M5.6 11.5l4.8-2.8',
  stop: 'M4.5 4.5h7v7h-7z',
  globe: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM2 8h12M8 2c2 2 2.6 4 2.6 6s-.6 4-2.6 6c-2-2-2.6-4-2.6-6S6 4 8 2z',
  back: 'M6.5 3 2.5 7l4 4M2.5 7h7a4 4 0 0 1 0 7.5H8',
  live: 'M8 9.2a1.2 1.2 0 1 0 0-2.4 1.2 1.2 0 0 0 0 2.4zM5 11a4.2 4.2 0 0 1 0-6M11 5a4.2 4.2 0 0 1 0 6M3 13A7 7 0 0 1 3 3M13 3a7 7 0 0 1 0 10',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 15 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

/** The lighthouse. */
export function Logo({ size = 22 }: { size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path d="M13.2 12h5.6l1.7 14h-9z" fill="currentColor" />
      <path d="M12.2 7.2 16 4.6l3.8 2.6V12h-7.6z" fill="var(--brand)" />
      <path d="M11 8.4 2 5v7l9-2.2zM21 8.4 30 5v7l-9-2.2z" fill="var(--brand)" opacity=".5" />
      <path d="M9.2 26h13.6v2.4H9.2z" fill="currentColor" />
    </svg>
  );
}
