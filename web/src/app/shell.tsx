/** The frame of every page: navigation, context, time, help. */
import { Outlet, useRouterState } from '@tanstack/react-router';
import { Dialog, Tooltip } from 'radix-ui';
import { useEffect, useState } from 'react';
import type { JSX } from 'react';
import { formatValue } from '@/core/units/units';
import type { Signal } from '@/core/api/pharos';
import { one } from '@/core/url/search';
import { Icon, Logo } from '@/ui/icons';
import { copyText, ErrorBox, IconButton, Tip } from '@/ui/kit';
import { CommandPalette } from './command';
import { focusQuery, useKeys } from './keys';
import { useStatus } from './queries';
import { navigation } from './navigation';
import { shareable, useAbsoluteLink, TopBar } from './topbar';
import { TimeProvider, useTime } from './time';
import { GoLink, useUrl } from './url';
import { useAddressZone, useZone } from './zone';

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
  const [share, setShare] = useState(false);
  const time = useTime();
  const { go, search } = useUrl();
  useAddressZone(one(search['timezone']));
  const zone = useZone();
  const link = useAbsoluteLink();

  useKeys({
    ...Object.fromEntries(navigation.map((n) => [`g ${n.key}`, () => go(n.to)])),
    '/': focusQuery,
    t: () => setPicker(true),
    z: time.zoomOut,
    '[': () => time.shift(-1),
    ']': () => time.shift(1),
    r: time.refresh,
    y: () => void shareable(link()).then(copyText),
    '{': time.previous,
    '}': time.next,
    f: time.freeze,
    '?': () => setHelp(true),
    'Ctrl-k': () => setPalette((p) => !p),
  });

  useEffect(() => {
    const name = navigation.find((n) => n.to === path || (n.to !== '/' && path.startsWith(`${n.to}/`)))?.label ?? (path.startsWith('/trace/') ? 'Trace' : '');
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
        <TopBar path={path} picker={picker} onPicker={setPicker} share={share} onShare={setShare} onPalette={() => setPalette(true)} onHelp={() => setHelp(true)} />
        <main className="content" id="content" tabIndex={-1}>
          {/* Everything that shows a time is made anew in another zone. */}
          <Outlet key={zone} />
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
          const on = path === n.to || (n.to !== '/' && path.startsWith(`${n.to}/`)) || (n.to === '/traces' && path.startsWith('/trace/'));
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

const shortcuts: [string, string][] = [
  ...navigation.map((n): [string, string] => [`g ${n.key}`, n.label]),
  ['Ctrl K', 'Search and jump'],
  ['/', 'Focus the query'],
  ['Ctrl Enter', 'Run the query'],
  ['t', 'Time range'],
  ['z', 'Zoom out'],
  ['[  ]', 'Earlier, later'],
  ['{  }', 'Previous, next range'],
  ['f', 'Freeze the range'],
  ['r', 'Refresh'],
  ['j  k', 'Next, previous row'],
  ['Enter', 'Open the row'],
  ['Esc', 'Close'],
  ['e', 'Expand or collapse'],
  ['n  N', 'Next, previous match'],
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
