/** The top bar: where the user is and came from, what they are looking into, search, time, share, help, theme. */
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import type { JSX } from 'react';
import { contextNames, contextParams, stepHref } from '@/core/context/context';
import { all, one } from '@/core/url/search';
import { Icon } from '@/ui/icons';
import { Button, copyText, IconButton, Popover } from '@/ui/kit';
import { navigation } from './navigation';
import { setTheme, useThemeChoice } from './theme';
import type { ThemeChoice } from './theme';
import { useTime } from './time';
import { TimePicker } from './timepicker';
import { usePageTitle } from './title';
import { GoLink, useUrl } from './url';

interface TopProps {
  path: string;
  picker: boolean;
  onPicker: (open: boolean) => void;
  share: boolean;
  onShare: (open: boolean) => void;
  onPalette: () => void;
  onHelp: () => void;
}

export function TopBar({ path, picker, onPicker, share, onShare, onPalette, onHelp }: TopProps): JSX.Element {
  return (
    <header className="top">
      <Crumbs path={path} />
      <ContextChips />
      <span className="grow" />
      <button type="button" className="btn quiet hide-small" onClick={onPalette}>
        <Icon name="search" /> Jump to <kbd>Ctrl K</kbd>
      </button>
      <TimePicker open={picker} onOpenChange={onPicker} />
      <div className="row" style={{ gap: 0 }}>
        <Share open={share} onOpenChange={onShare} />
        <IconButton icon="help" kind="quiet" label="Keyboard shortcuts" hint="?" onClick={onHelp} className="hide-small" />
        <ThemeMenu />
      </div>
    </header>
  );
}

/** The trail that led here, each step back to the very view it was, then the page itself. */
function Crumbs({ path }: { path: string }): JSX.Element {
  const { search } = useUrl();
  const navigate = useNavigate();
  const trail = all(search['via']);
  const named = usePageTitle();
  const page = navigation.find((n) => n.to === path) ?? navigation.find((n) => n.to !== '/' && path.startsWith(`${n.to}/`));
  const trace = path.startsWith('/trace/');
  const title = named ?? (trace ? path.slice(7, 15) : path === '/' || page ? (page?.to !== path && page ? decodeURIComponent(path.slice(page.to.length + 1)) : page?.label) : 'Not found');
  return (
    <nav className="crumbs" aria-label="Breadcrumb">
      {trail.map((name, i) => {
        const href = stepHref(name);
        return (
          <span key={`${i}${name}`} className="crumb hide-small">
            {href ? (
              <button type="button" className="link clip" title={`Back to ${name}`} onClick={() => void navigate({ href })}>
                {name}
              </button>
            ) : (
              <span className="clip muted">{name}</span>
            )}
            <span className="faint" aria-hidden="true">
              ›
            </span>
          </span>
        );
      })}
      {trail.length === 0 && trace && (
        <span className="crumb">
          <GoLink to="/traces">Traces</GoLink>
          <span className="faint">/</span>
        </span>
      )}
      {trail.length === 0 && page && page.to !== path && (
        <span className="crumb">
          <GoLink to={page.to}>{page.label}</GoLink>
          <span className="faint">/</span>
        </span>
      )}
      <h1 className="clip">{title}</h1>
      {trail.length > 0 && <IconButton small icon="x" kind="quiet" className="hide-small" label="Forget where this came from" onClick={() => void navigate({ to: '.', search: ((o: object) => ({ ...o, via: undefined })) as never, replace: true })} />}
    </nav>
  );
}

function ContextChips(): JSX.Element | null {
  const { search, set } = useUrl();
  const chips = contextParams.filter((p) => one(search[p]));
  if (chips.length === 0) return null;
  return (
    <div className="row contextchips" role="group" aria-label="Looking into">
      {chips.map((p) => (
        <span key={p} className="chip" title="Pages opened from the navigation start from this">
          {contextNames[p]} <b className="clip">{p === 'trace' ? one(search[p])!.slice(0, 8) : one(search[p])}</b>
          <button type="button" aria-label={`Leave ${contextNames[p]} ${one(search[p])}`} onClick={() => set({ [p]: undefined })}>
            <Icon name="x" size={12} />
          </button>
        </span>
      ))}
    </div>
  );
}

/** The link to exactly what is on the screen: absolute times, no automatic refresh. */
export function useAbsoluteLink(): () => string {
  const time = useTime();
  return () => {
    const url = new URL(location.href);
    url.searchParams.set('from', String(time.range.from));
    url.searchParams.set('to', String(time.range.to));
    for (const p of ['refresh', 'via', 'live']) url.searchParams.delete(p);
    return url.toString();
  };
}

/** Longer than this, chats and mail programs cut addresses off. */
const longest = 4096;

/** The address itself, or a short one that the server keeps where it is too long. */
export async function shareable(url: string): Promise<string> {
  if (url.length <= longest) return url;
  const u = new URL(url);
  const res = await fetch('/api/short-urls', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ path: u.pathname + u.search }) });
  if (!res.ok) return url;
  return `${u.origin}/goto/${((await res.json()) as { uid: string }).uid}`;
}

function Share({ open, onOpenChange }: { open: boolean; onOpenChange: (o: boolean) => void }): JSX.Element {
  const absolute = useAbsoluteLink();
  const [done, setDone] = useState('');
  const links: [string, string, () => string][] = [
    ['This moment', 'Absolute times: shows the same to everyone, also tomorrow.', absolute],
    ['This view', 'Relative times: shows the newest data when opened.', () => location.href],
  ];
  const copy = (name: string, text: string) => void shareable(text).then(copyText).then(() => setDone(name));
  return (
    <Popover
      label="Share"
      align="end"
      open={open}
      onOpenChange={(o) => {
        setDone('');
        onOpenChange(o);
      }}
      trigger={<Button icon="share" kind="quiet" className="hide-small" aria-label="Share" title="Share (y copies the link)" />}
    >
      <div className="sharebox">
        {links.map(([name, what, text]) => (
          <div key={name} className="sharerow">
            <div className="row">
              <b className="grow">{name}</b>
              <Button small icon={done === name ? 'check' : 'copy'} onClick={() => copy(name, text())}>
                {done === name ? 'Copied' : 'Copy'}
              </Button>
            </div>
            <span className="muted">{what + (text().length > longest ? ' The copy is a short link, kept on the server.' : '')}</span>
            <input className="input mono" readOnly value={text()} aria-label={`Link to ${name.toLowerCase()}`} onFocus={(e) => e.currentTarget.select()} />
          </div>
        ))}
      </div>
    </Popover>
  );
}

const themes: { id: ThemeChoice; label: string; icon: 'moon' | 'sun' | 'rail' }[] = [
  { id: 'dark', label: 'Dark', icon: 'moon' },
  { id: 'light', label: 'Light', icon: 'sun' },
  { id: 'system', label: 'As the system', icon: 'rail' },
];

function ThemeMenu(): JSX.Element {
  const { choice, theme } = useThemeChoice();
  const [open, setOpen] = useState(false);
  return (
    <Popover label="Theme" align="end" open={open} onOpenChange={setOpen} className="menu" trigger={<Button icon={theme === 'dark' ? 'moon' : 'sun'} kind="quiet" aria-label="Theme" title="Theme" />}>
      {themes.map((t) => (
        <button
          key={t.id}
          type="button"
          className="item"
          aria-pressed={t.id === choice}
          onClick={() => {
            setTheme(t.id);
            setOpen(false);
          }}
        >
          <Icon name={t.icon} size={14} />
          {t.label}
          {t.id === choice && (
            <span className="end">
              <Icon name="check" size={13} />
            </span>
          )}
        </button>
      ))}
    </Popover>
  );
}
