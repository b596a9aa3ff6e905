/** Reading and writing the state that lives in the URL. */
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback } from 'react';
import type { AnchorHTMLAttributes, JSX, MouseEvent } from 'react';
import { contextParams, extendTrail, rememberStep } from '@/core/context/context';
import { all, one } from '@/core/url/search';
import type { Search } from '@/core/url/search';

/** The parameters that every link keeps. */
export const sticky = ['from', 'to', 'refresh', ...contextParams] as const;

export function keepSticky(s: Search): Search {
  const out: Search = {};
  for (const k of sticky) if (s[k] !== undefined) out[k] = s[k];
  return out;
}

/** The search of a page reached from another: what is sticky, what the link says, and the trail one step longer. */
function hop(old: Search, extra: Search | undefined): Search {
  const via = one(extra?.['via']);
  return { ...keepSticky(old), ...extra, ...(via ? { via: extendTrail(all(old['via']), via) } : {}) };
}

export function useUrl(): { search: Search; set: (patch: Search, replace?: boolean) => void; go: (to: string, search?: Search) => void } {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const set = useCallback(
    (patch: Search, replace = false) => {
      void navigate({ to: '.', search: ((old: Search) => ({ ...old, ...patch })) as never, replace });
    },
    [navigate],
  );
  const go = useCallback(
    (to: string, extra: Search = {}) => {
      const via = one(extra['via']);
      if (via) rememberStep(via, location.pathname + location.search);
      void navigate({ to, search: ((old: Search) => hop(old, extra)) as never });
    },
    [navigate],
  );
  return { search, set, go };
}

type Props = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, 'href'> & { to: string; search?: Search | undefined };

/** A link that carries the time range. */
export function GoLink({ to, search, children, ...rest }: Props): JSX.Element {
  return (
    <Link
      to={to}
      search={((old: Search) => hop(old, search)) as never}
      {...(rest as object)}
      onClick={(e: MouseEvent<HTMLAnchorElement>) => {
        const via = one(search?.['via']);
        if (via) rememberStep(via, location.pathname + location.search);
        rest.onClick?.(e);
      }}
    >
      {children}
    </Link>
  );
}
