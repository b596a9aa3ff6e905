/** The command palette: pages, metric names, services, and any pasted trace id. */
import { useQuery } from '@tanstack/react-query';
import { Dialog } from 'radix-ui';
import { useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { metricNames } from '@/core/api/prometheus';
import { traceTagValues } from '@/core/api/tempo';
import { toMetrics } from '@/core/metrics/promql';
import { recentQueries } from '@/core/recent';
import { quickRanges } from '@/core/time/range';
import { setZone, zone } from '@/core/time/zone';
import { Icon } from '@/ui/icons';
import type { IconName } from '@/ui/icons';
import { navigation } from './navigation';
import { setTheme, useTheme } from './theme';
import { useTime } from './time';
import { useUrl } from './url';

interface Command {
  id: string;
  label: string;
  detail: string;
  icon: IconName;
  run: () => void;
}

export function CommandPalette({ open, onOpenChange }: { open: boolean; onOpenChange: (o: boolean) => void }): JSX.Element {
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" aria-describedby={undefined}>
          <Dialog.Title className="sr">Search and jump</Dialog.Title>
          <Body onDone={() => onOpenChange(false)} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Body({ onDone }: { onDone: () => void }): JSX.Element {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const { go } = useUrl();
  const time = useTime();
  const theme = useTheme();
  const needle = text.trim();
  const names = useQuery({
    queryKey: ['palette-metrics', needle],
    queryFn: ({ signal }) => metricNames(needle, time.range, 30, signal),
    enabled: needle.length >= 2,
    retry: false,
    meta: { clock: false },
  });

  const services = useQuery({
    queryKey: ['trace-services', Math.floor(time.range.from / 60_000)],
    queryFn: ({ signal }) => traceTagValues('resource.service.name', time.range, signal),
    staleTime: 60_000,
    retry: false,
    meta: { clock: false },
  });
  const [recents] = useState(() => recentQueries().slice(0, 12));

  const commands = useMemo<Command[]>(() => {
    const list: Command[] = [];
    if (/^[0-9a-f]{16,32}$/i.test(needle)) {
      list.push({ id: 'trace', label: `Trace ${needle}`, detail: 'open', icon: 'traces', run: () => go(`/trace/${needle.toLowerCase()}`) });
      list.push({ id: 'trace-logs', label: `Logs of trace ${needle}`, detail: 'search', icon: 'logs', run: () => go('/logs', { q: `{service_name=~".+"} | trace_id="${needle}"` }) });
    }
    for (const n of navigation) {
      if (n.label.toLowerCase().includes(needle.toLowerCase())) list.push({ id: n.to, label: n.label, detail: `g ${n.key}`, icon: n.icon, run: () => go(n.to) });
    }
    const word = needle.toLowerCase();
    const actions: Command[] = [
      { id: 'freeze', label: 'Freeze the time range', detail: 'f', icon: 'clock', run: time.freeze },
      { id: 'zoomout', label: 'Zoom out', detail: 'z', icon: 'zoomout', run: time.zoomOut },
      { id: 'utc', label: zone() === 'utc' ? 'Times in the browser’s zone' : 'Times in UTC', detail: '', icon: 'globe', run: () => setZone(zone() === 'utc' ? 'browser' : 'utc') },
      ...quickRanges.map((q): Command => ({ id: `r:${q.label}`, label: q.label, detail: 'time range', icon: 'clock', run: () => time.setRange(q.range) })),
    ];
    if (word.length >= 2) list.push(...actions.filter((a) => a.label.toLowerCase().includes(word)).slice(0, 6));
    for (const v of services.data ?? []) {
      const name = v.value ?? '';
      if (word.length < 1 || !name.toLowerCase().includes(word)) continue;
      list.push({ id: `s:${name}`, label: name, detail: 'service', icon: 'services', run: () => go(`/services/${encodeURIComponent(name)}`, { svc: name }) });
    }
    for (const r of recents) {
      if (!r.query.toLowerCase().includes(word)) continue;
      list.push({ id: `q:${r.page}:${r.query}`, label: r.query, detail: 'recent', icon: navigation.find((n) => n.to === r.page)?.icon ?? 'clock', run: () => go(r.page, { q: r.query }) });
      if (list.length > 40) break;
    }
    const other = theme === 'dark' ? 'light' : 'dark';
    if (`${other} theme`.includes(needle.toLowerCase())) list.push({ id: 'theme', label: `Use ${other} theme`, detail: '', icon: theme === 'dark' ? 'sun' : 'moon', run: () => setTheme(other) });
    for (const { name } of toMetrics(names.data ?? [], new Map())) list.push({ id: `m:${name}`, label: name, detail: 'metric', icon: 'metrics', run: () => go('/explore/metrics', { m: name }) });
    if (needle.length >= 3) list.push({ id: 'line', label: `Lines containing “${needle}”`, detail: 'logs', icon: 'logs', run: () => go('/logs', { q: `{service_name=~".+"} |= ${JSON.stringify(needle)}` }) });
    return list;
  }, [needle, names.data, services.data, recents, go, theme, time]);

  useEffect(() => setAt(0), [needle]);
  const choose = (c: Command | undefined) => {
    if (!c) return;
    onDone();
    c.run();
  };
  return (
    <>
      <div className="row" style={{ padding: '10px 14px', borderBottom: '1px solid var(--line)' }}>
        <Icon name="search" />
        <input
          className="grow"
          style={{ border: 0, background: 'none', outline: 'none', height: 26, fontSize: 14 }}
          placeholder="Page, service, metric, trace id, time range, or text in logs"
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={commands[at] ? `cmd-${at}` : undefined}
          aria-label="Search and jump"
          value={text}
          autoFocus
          onChange={(e) => setText(e.target.value)}
          onKeyDown={(e) => {
            if (e.key === 'ArrowDown') setAt((i) => Math.min(commands.length - 1, i + 1));
            else if (e.key === 'ArrowUp') setAt((i) => Math.max(0, i - 1));
            else if (e.key === 'Enter') choose(commands[at]);
            else return;
            e.preventDefault();
          }}
        />
      </div>
      <div id="palette-list" role="listbox" aria-label="Results" style={{ padding: 6, maxHeight: '50vh', overflow: 'auto' }}>
        {commands.map((c, i) => (
          <div key={c.id} id={`cmd-${i}`} role="option" aria-selected={i === at} className="item" ref={(el) => {
              if (i === at) el?.scrollIntoView({ block: 'nearest' });
            }} onMouseMove={() => setAt(i)} onClick={() => choose(c)}>
            <Icon name={c.icon} />
            <span className="clip">{c.label}</span>
            <span className="end">{c.detail}</span>
          </div>
        ))}
        {commands.length === 0 && <div className="state">Nothing matches.</div>}
      </div>
    </>
  );
}
