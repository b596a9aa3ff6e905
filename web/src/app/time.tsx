/** The one time range of the page: it lives in the URL, and every query reads it from here. */
import { useQueryClient } from '@tanstack/react-query';
import { useRouterState } from '@tanstack/react-router';
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { parseDuration, resolveRange } from '@/core/time/parse';
import type { Range, RangeText } from '@/core/time/parse';
import { shift, zoomOut } from '@/core/time/range';
import { one } from '@/core/url/search';
import { useUrl } from './url';

export const defaultRange: RangeText = { from: 'now-15m', to: 'now' };

export interface Time {
  text: RangeText;
  range: Range;
  /** Milliseconds between refreshes, 0 for none. */
  every: number;
  setRange: (r: RangeText) => void;
  zoomTo: (fromMs: number, toMs: number) => void;
  zoomOut: () => void;
  shift: (direction: -1 | 1) => void;
  refresh: () => void;
  setEvery: (text: string) => void;
  /** The range before this one, as in a browser's history but of ranges alone. */
  previous: () => void;
  next: () => void;
  hasPrevious: boolean;
  hasNext: boolean;
  /** Makes a moving range stand still. */
  freeze: () => void;
}

const Context = createContext<Time | undefined>(undefined);

export function TimeProvider({ children }: { children: ReactNode }): JSX.Element {
  const { search, set } = useUrl();
  const client = useQueryClient();
  const path = useRouterState({ select: (s) => s.location.pathname });
  const [anchor, setAnchor] = useState(() => Date.now());
  const from = one(search['from']) ?? defaultRange.from;
  const to = one(search['to']) ?? defaultRange.to;
  const every = parseDuration(one(search['refresh']) ?? '') ?? 0;

  const text = useMemo<RangeText>(() => (resolveRange({ from, to }, anchor) ? { from, to } : defaultRange), [from, to, anchor]);
  const range = useMemo(() => resolveRange(text, anchor) ?? { from: anchor - 900_000, to: anchor }, [text, anchor]);

  const refresh = useCallback(() => {
    setAnchor(Date.now());
    void client.invalidateQueries({ predicate: (q) => q.meta?.['clock'] !== false });
  }, [client]);

  // A page that is opened later starts from its own "now".
  const opened = useRef(path);
  useEffect(() => {
    if (opened.current === path) return;
    opened.current = path;
    setAnchor((a) => (Date.now() - a > 10_000 ? Date.now() : a));
  }, [path]);

  useEffect(() => {
    if (every < 1000) return;
    const id = setInterval(() => {
      // Never pile up: a slow refresh is waited for, a hidden page is left alone.
      if (document.visibilityState === 'visible' && client.isFetching({ predicate: (q) => q.meta?.['clock'] !== false }) === 0) setAnchor(Date.now());
    }, every);
    return () => clearInterval(id);
  }, [every, client]);

  // The ladder of ranges: what is visited is pushed, steps back and forth are not.
  const ladder = useRef<{ list: RangeText[]; at: number; seen: string }>({ list: [], at: -1, seen: '' });
  if (ladder.current.seen !== `${from} ${to}`) {
    const { list, at } = ladder.current;
    const here = list[at];
    const next = here?.from === from && here.to === to ? list : [...list.slice(0, at + 1), { from, to }].slice(-50);
    ladder.current = { list: next, at: next === list ? at : next.length - 1, seen: `${from} ${to}` };
  }

  const value = useMemo<Time>(() => {
    const setRange = (r: RangeText) => {
      setAnchor(Date.now());
      set({ from: r.from, to: r.to });
    };
    const step = (by: -1 | 1) => {
      const l = ladder.current;
      const r = l.list[l.at + by];
      if (!r) return;
      l.at += by;
      setRange(r);
    };
    return {
      previous: () => step(-1),
      next: () => step(1),
      hasPrevious: ladder.current.at > 0,
      hasNext: ladder.current.at < ladder.current.list.length - 1,
      freeze: () => setRange({ from: String(range.from), to: String(range.to) }),
      text,
      range,
      every,
      setRange,
      zoomTo: (a, b) => {
        const [lo, hi] = a < b ? [a, b] : [b, a];
        if (hi - lo >= 1000) setRange({ from: String(Math.round(lo)), to: String(Math.round(hi)) });
      },
      zoomOut: () => setRange(zoomOut(text, range, Date.now())),
      shift: (d) => setRange(shift(range, d, Date.now())),
      refresh,
      setEvery: (t) => set({ refresh: t || undefined }, true),
    };
  }, [text, range, every, set, refresh]);

  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useTime(): Time {
  const t = useContext(Context);
  if (!t) throw new Error('useTime needs a TimeProvider above it');
  return t;
}
