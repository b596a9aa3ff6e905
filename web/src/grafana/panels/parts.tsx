/** Small parts that panels share. */
import { DropdownMenu } from 'radix-ui';
import type { JSX, ReactNode } from 'react';
import { GoLink } from '@/app/url';
import { parseSearch } from '@/core/url/search';
import { arr, obj, str } from '../model';
import { fieldLinks } from './context';
import type { PanelProps, Target } from './context';
import { isNull, nameOf, numberFields, reduce } from '../frames';
import type { Field, Frame } from '../frames';
import { extent, regexOf, show } from '../display';
import type { Shown } from '../display';
import { interpolate } from '../template';
import type { Values } from '../template';

/** Only addresses that cannot run anything are followed. */
export function safeURL(url: string): string | undefined {
  const u = url.trim();
  if (/^(https?:|mailto:)/i.test(u) || /^[/?#.]/.test(u)) return u;
  return /^[a-z][a-z0-9+.-]*:/i.test(u) ? undefined : `/${u}`;
}

/** A link within Pharos stays in the page; all others open as usual. */
export function Anchor({ link, className, children }: { link: Target; className?: string; children: ReactNode }): JSX.Element {
  const url = safeURL(link.url);
  if (!url) return <span className={className}>{children}</span>;
  if (url.startsWith('/') && !url.startsWith('//') && !link.newTab) {
    const [path = '/', query = ''] = url.split('#')[0]!.split('?');
    return (
      <GoLink className={className} to={path} search={parseSearch(query)}>
        {children}
      </GoLink>
    );
  }
  return (
    <a className={className} href={url} {...(link.newTab || !url.startsWith('/') ? { target: '_blank', rel: 'noreferrer' } : {})}>
      {children}
    </a>
  );
}

export function LinkItem({ link }: { link: Target }): JSX.Element {
  return (
    <Anchor className="item" link={link}>
      {link.title}
    </Anchor>
  );
}

/** Content that is a link when the field has one, and a menu when it has several. */
export function Linked({ links, className, children }: { links: Target[]; className?: string; children: ReactNode }): JSX.Element {
  if (links.length === 0) return <span className={className}>{children}</span>;
  if (links.length === 1) {
    return (
      <Anchor link={links[0]!} className={`${className ?? ''} g-linked`}>
        {children}
      </Anchor>
    );
  }
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger asChild>
        <button type="button" className={`${className ?? ''} g-linked g-plain`}>
          {children}
        </button>
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="pop g-menu" sideOffset={4}>
          {links.map((l) => (
            <DropdownMenu.Item key={l.title + l.url} asChild>
              <div>
                <LinkItem link={l} />
              </div>
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

/** A single value of a stat, gauge, bar gauge or pie. */
export interface Single {
  name: string;
  shown: Shown;
  field: Field;
  frame: Frame;
  row: number;
  links: Target[];
  min: number;
  max: number;
}

/** What single-value panels show: each field reduced to one value, or every row when all values are asked for. */
export function singles(p: PanelProps, color: (i: number, name: string) => string): Single[] {
  const r = obj(p.panel.options['reduceOptions']);
  const calc = str(arr(r['calcs'])[0]) ?? 'lastNotNull';
  const pick = str(r['fields']) ?? '';
  const re = pick && pick !== 'All Fields' ? regexOf(interpolate(pick, p.values, 'raw')) : undefined;
  const ends = extent(p.frames) ?? [0, 1];
  const out: Single[] = [];
  const add = (frame: Frame, f: Field, row: number, v: unknown, name: string) => {
    const min = f.config.min ?? Math.min(0, ends[0]);
    const max = f.config.max ?? (f.config.unit === 'percent' ? 100 : f.config.unit === 'percentunit' ? 1 : ends[1]);
    out.push({ name, shown: show(f.config, v, color(out.length, name), min, max), field: f, frame, row, links: fieldLinks(f, row, frame, p.frames, p.values), min, max });
  };
  for (const frame of p.frames) {
    const chosen = frame.fields.filter((f) => (pick === '' ? f.type === 'number' : pick === '/.*/' ? f.type !== 'time' : re ? re.test(nameOf(f, frame, p.frames)) : true) && (f.config.custom['hideFrom'] === undefined || obj(f.config.custom['hideFrom'])['viz'] !== true));
    if (r['values'] === true) {
      const limit = Number(r['limit'] ?? 25);
      const naming = frame.fields.find((f) => f.type === 'string');
      for (const f of chosen) for (let i = 0; i < Math.min(f.values.length, limit); i++) add(frame, f, i, f.values[i], naming ? `${String(naming.values[i])}${chosen.length > 1 ? ` ${nameOf(f, frame, p.frames)}` : ''}` : nameOf(f, frame, p.frames));
    } else {
      for (const f of chosen) {
        const row = Math.max(0, f.values.findLastIndex((v) => !isNull(v)));
        add(frame, f, row, reduce(calc, f), nameOf(f, frame, p.frames));
      }
    }
  }
  return out;
}

export const hasNumbers = (frames: Frame[]): boolean => frames.some((f) => numberFields(f).some((c) => c.values.length > 0));

export type { Values };
