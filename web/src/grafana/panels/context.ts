/** What every panel component gets. */
import type { RangeText, Range } from '@/core/time/parse';
import { linksOf } from '../model';
import { nameOf } from '../frames';
import type { Field, Frame } from '../frames';
import type { Panel } from '../model';
import { show, shownText } from '../display';
import { interpolate } from '../template';
import type { Values } from '../template';

export interface PanelProps {
  panel: Panel;
  /** With their options applied. */
  frames: Frame[];
  range: Range;
  width: number;
  height: number;
  values: Values;
  /** Charts with the same key share the cursor. */
  sync: string | undefined;
  marks: Mark[];
  onZoom: (from: number, to: number) => void;
  onZoomOut: () => void;
}

/** An annotation on time charts. */
export interface Mark {
  /** Milliseconds; `end` where it lasts. */
  time: number;
  end?: number;
  text: string;
  color: string;
  /** The panels that show it, or do not. */
  only?: { exclude: boolean; ids: number[] } | undefined;
}

export interface Target {
  title: string;
  url: string;
  newTab: boolean;
}

/** Addresses of Grafana's explore page have no counterpart; everything else stays as it is written. */
export function linkURL(url: string, values: Values): string {
  return interpolate(url, values, 'raw').replace(/^\/?d-solo\//, '/d/').replace(/[?&]$/, '');
}

/** The links of a field at a row, with `${__value…}`, `${__field…}`, `${__series…}` and `${__data…}` filled in. */
export function fieldLinks(f: Field, row: number, frame: Frame, all: Frame[], values: Values): Target[] {
  const links = f.config.links ?? [];
  if (links.length === 0) return [];
  return links.map((l) => ({ ...l, title: fill(l.title, f, row, frame, all, values), url: fill(l.url, f, row, frame, all, values, true) }));
}

function fill(text: string, f: Field, row: number, frame: Frame, all: Frame[], values: Values, url = false): string {
  const raw = f.values[row];
  const enc = (s: string) => (url ? encodeURIComponent(s) : s);
  const time = frame.fields.find((c) => c.type === 'time')?.values[row];
  const cell = (c: Field | undefined) => (c ? enc(shownText({ ...show(c.config, c.values[row]) })) : '');
  const rawCell = (c: Field | undefined) => (c ? enc(String(c.values[row] ?? '')) : '');
  const done = text
    .replace(/\$\{__(?:value)\.(raw|numeric|text|time)\}/g, (_m, what: string) => {
      if (what === 'time') return enc(String(time ?? ''));
      if (what === 'text') return enc(shownText(show(f.config, raw)));
      return enc(String(raw ?? ''));
    })
    .replace(/\$\{__value\}/g, () => enc(String(raw ?? '')))
    .replace(/\$\{__field\.labels(?:\.([\w.:-]+?)|\[["']?([^\]"']+)["']?\])(?::(\w+))?\}/g, (_m, a?: string, b?: string) => enc(f.labels[a ?? b ?? ''] ?? ''))
    .replace(/\$\{__field\.(?:name|displayName)(?::\w+)?\}/g, () => enc(nameOf(f, frame, all)))
    .replace(/\$\{__series\.name(?::\w+)?\}/g, () => enc(nameOf(f, frame, all)))
    .replace(/\$\{__cell\}|\$__cell\b/g, () => rawCell(f))
    .replace(/\$\{__data\.fields(?:\.([\w-]+)|\[["']?([^\]"']+)["']?\])(?:\.(numeric|text))?(?::\w+)?\}/g, (_m, a?: string, b?: string, as?: string) => {
      const key = a ?? b ?? '';
      const c = frame.fields.find((x) => nameOf(x, frame, all) === key || x.name === key) ?? (/^\d+$/.test(key) ? frame.fields[Number(key)] : undefined);
      return as === 'text' ? cell(c) : rawCell(c);
    });
  return url ? linkURL(done, values) : interpolate(done, values, 'text');
}

/** Links of the panel itself. */
export function panelLinks(p: Panel, values: Values): Target[] {
  return linksOf(p.raw['links']).map((l) => ({ ...l, title: interpolate(l.title, values, 'text'), url: linkURL(l.url, values) }));
}

export const absolute = (r: Range): RangeText => ({ from: String(Math.round(r.from)), to: String(Math.round(r.to)) });
