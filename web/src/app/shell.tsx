/** The frame of every page: navigation, context, time, help. */
import { Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { Dialog, Tooltip } from 'radix-ui';
import { useEffect, useState } from 'react';
import type { JSX } from 'react';
import { formatValue } from '@/core/units/units';
import type { Signal } from '@/core/api/pharos';
import { Icon, Logo } from '@/ui/icons';
import type { IconName } from '@/ui/icons';
import { copyText, ErrorBox, IconButton, Tip } from '@/ui/kit';
import { CommandPalette } from './command';
import { focusQuery, useKeys } from './keys';
import { useStatus } from './queries';
import { setTheme, useTheme } from './theme';
import { TimeProvider, useTime } from './time';
import { TimePicker } from './timepicker';
import { GoLink, useUrl } from './url';

export interface NavItem {
  to: string;
  label: string;
  icon: IconName;
  key: string;
}

/** Only pages that exist and work are listed. */
export const navigation: NavItem[] = [
  { to: '/', label: 'Home', icon: 'home', key: 'h' },
  { to: '/explore/metrics', label: 'Metrics', icon: 'metrics', key: 'm' },
  { to: '/logs', label: 'Logs', icon: 'logs', key: 'l' },
  { to: '/traces', label: 'Traces', icon: 'traces', key: 't' },
  { to: '/services', label: 'Services', icon: 'services', key: 's' },
];

export function Shell(): JSX.Element {
  return (
    <Tooltip.Provider delayDuration={350} skipDelayDuration={150}>
      <TimeProvider>
        <Frame />
      </TimeProvider>
    </Tooltip.Provider>
  );
}

function storedRail(): 'small' | 'wide' {
  try {
    return localStorage.getItem('pharos.rail') === 'small' ? 'small' : 'wide';
  } catch {
    return 'wide';
  }
}

function Frame(): JSX.Element {
  const path = useRouterState({ select: (s) => s.location.pathname });
  const [rail, setRail] = useState(storedRail);
  const [picker, setPicker] = useState(false);
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const time = useTime();
  const { go } = useUrl();
  const share = useShare();

  useKeys({
    ...Object.fromEntries(navigation.map((n) => [`g ${n.key}`, () => go(n.to)])),
    '/': focusQuery,
    t: () => setPicker(true),
    z: time.zoomOut,
    '[': () => time.shift(-1),
    ']': () => time.shift(1),
    r: time.refresh,
    y: share,
    '?': () => setHelp(true),
    'Ctrl-k': () => setPalette((p) => !p),
  });

  useEffect(() => {
    const name = navigation.find((n) => n.to === path)?.label ?? (path.startsWith('/trace/') ? 'Trace' : '');
    document.title = name ? `${name} · Pharos` : 'Pharos';
  }, [path]);

  const toggleRail = () => {
    const next = rail === 'small' ? 'wide' : 'small';
    setRail(next);
    try {
      localStorage.setItem('pharos.rail', next);
    } catch {
      // The choice lasts for this page then.
    }
  };

  return (
    <div className="shell" data-rail={rail}>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <Rail path={path} onToggle={toggleRail} small={rail === 'small'} />
      <div className="main">
        <TopBar path={path} picker={picker} onPicker={setPicker} onPalette={() => setPalette(true)} onHelp={() => setHelp(true)} onShare={share} />
        <main className="content" id="content" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <CommandPalette open={palette} onOpenChange={setPalette} />
      <Help open={help} onOpenChange={setHelp} />
    </div>
  );
}

const signals: [Signal, string, string][] = [
  ['metrics', 'Metrics', '/explore/metrics'],
  ['logs', 'Logs', '/logs'],
  ['traces', 'Spans', '/traces'],
];

function Rail({ path, onToggle, small }: { path: string; onToggle: () => void; small: boolean }): JSX.Element {
  const status = useStatus();
  return (
    <nav className="rail" aria-label="Main">
      <GoLink to="/" className="brand" aria-label="Pharos, home">
        <Logo />
        <span className="label">Pharos</span>
      </GoLink>
      <ul>
        {navigation.map((n) => {
          const active = n.to === '/' ? path === '/' : path.startsWith(n.to.replace(/s$/, ''));
          const on = n.to === '/services' ? path === n.to : n.to === '/traces' ? /^\/traces?(\/|$)/.test(path) : active;
          const link = (
            <GoLink to={n.to} className={`nav${on ? ' active' : ''}`} aria-current={on ? 'page' : undefined} aria-label={n.label}>
              <Icon name={n.icon} size={16} />
              <span className="label">{n.label}</span>
            </GoLink>
          );
          return <li key={n.to}>{small ? <Tip text={`${n.label} (g ${n.key})`}>{link}</Tip> : link}</li>;
        })}
      </ul>
      <div className="railfoot">
        {status.data && (
          <div className="ingestmini label" aria-label="Received per second">
            {signals.map(([id, label]) => {
              const s = status.data.signals[id];
              const fresh = s && s.last_received_unix_ms > 0 && Date.now() - s.last_received_unix_ms < 120_000;
              return (
                <div key={id}>
                  <span className="dot" data-s={fresh ? 'ok' : undefined} />
                  {label}
                  <span className="v">{s && s.received_total > 0 ? formatValue(s.rate_per_second, 'perSecond') : '–'}</span>
                </div>
              );
            })}
          </div>
        )}
        <div className="row" style={{ justifyContent: 'space-between' }}>
          <IconButton icon="rail" kind="quiet" label={small ? 'Expand navigation' : 'Collapse navigation'} onClick={onToggle} />
          {status.data && (
            <span className="faint label" style={{ fontSize: 11 }}>
              {status.data.version}
            </span>
          )}
        </div>
      </div>
    </nav>
  );
}

interface TopProps {
  path: string;
  picker: boolean;
  onPicker: (open: boolean) => void;
  onPalette: () => void;
  onHelp: () => void;
  onShare: () => void;
}

function TopBar({ path, picker, onPicker, onPalette, onHelp, onShare }: TopProps): JSX.Element {
  const theme = useTheme();
  return (
    <header className="top">
      <Crumbs path={path} />
      <span className="grow" />
      <button type="button" className="btn quiet hide-small" onClick={onPalette}>
        <Icon name="search" /> Jump to <kbd>Ctrl K</kbd>
      </button>
      <TimePicker open={picker} onOpenChange={onPicker} />
      <div className="row" style={{ gap: 0 }}>
        <IconButton icon="share" kind="quiet" label="Copy link with absolute times" hint="y" onClick={onShare} className="hide-small" />
        <IconButton icon="help" kind="quiet" label="Keyboard shortcuts" hint="?" onClick={onHelp} className="hide-small" />
        <IconButton icon={theme === 'dark' ? 'sun' : 'moon'} kind="quiet" label={theme === 'dark' ? 'Light theme' : 'Dark theme'} onClick={() => setTheme(theme === 'dark' ? 'light' : 'dark')} />
      </div>
    </header>
  );
}

/** Where the user came from, when a correlation link brought them here. */
function Crumbs({ path }: { path: string }): JSX.Element {
  const { search } = useUrl();
  const navigate = useNavigate();
  const title = navigation.find((n) => n.to === path)?.label ?? (path.startsWith('/trace/') ? 'Trace' : 'Not found');
  const via = typeof search['via'] === 'string' ? search['via'] : undefined;
  return (
    <div className="crumbs">
      {path.startsWith('/trace/') && (
        <>
          <GoLink to="/traces">Traces</GoLink>
          <span className="faint">/</span>
        </>
      )}
      <h1 className="clip">{path.startsWith('/trace/') ? path.slice(7, 15) : title}</h1>
      {via && (
        <span className="chip hide-small">
          <span className="clip">
            from <b>{via}</b>
          </span>
          <button type="button" aria-label="Forget where this came from" onClick={() => void navigate({ to: '.', search: ((o: object) => ({ ...o, via: undefined })) as never, replace: true })}>
            <Icon name="x" size={12} />
          </button>
        </span>
      )}
    </div>
  );
}

function useShare(): () => void {
  const time = useTime();
  return () => {
    const url = new URL(location.href);
    url.searchParams.set('from', String(time.range.from));
    url.searchParams.set('to', String(time.range.to));
    url.searchParams.delete('refresh');
    void copyText(url.toString());
  };
}

const shortcuts: [string, string][] = [
  ...navigation.map((n): [string, string] => [`g ${n.key}`, n.label]),
  ['Ctrl K', 'Search and jump'],
  ['/', 'Focus the query'],
  ['Ctrl Enter', 'Run the query'],
  ['t', 'Time range'],
  ['z', 'Zoom out'],
  ['[  ]', 'Earlier, later'],
  ['r', 'Refresh'],
  ['j  k', 'Next, previous row'],
  ['Enter', 'Open the row'],
  ['Esc', 'Close'],
  ['e', 'Expand or collapse'],
  ['y', 'Copy link'],
  ['?', 'This list'],
];

function Help({ open, onOpenChange }: { open: boolean; onOpenChange: (o: boolean) => void }): JSX.Element {
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" aria-describedby={undefined}>
          <header>
            <Dialog.Title className="grow" style={{ fontSize: 14, fontWeight: 600 }}>
              Keyboard shortcuts
            </Dialog.Title>
            <Dialog.Close asChild>
              <button type="button" className="btn quiet icon" aria-label="Close">
                <Icon name="x" />
              </button>
            </Dialog.Close>
          </header>
          <div style={{ columns: 2, padding: '10px 16px 16px' }}>
            {shortcuts.map(([keys, what]) => (
              <div key={keys} className="row" style={{ height: 30, breakInside: 'avoid' }}>
                <span style={{ width: 92 }}>
                  <kbd>{keys}</kbd>
                </span>
                {what}
              </div>
            ))}
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

export function PageError({ error, reset }: { error: unknown; reset?: () => void }): JSX.Element {
  return (
    <div className="page">
      <ErrorBox error={error} onRetry={reset} />
    </div>
  );
}
