/** The time picker: one text box, quick ranges, recent ranges, steps and refresh. */
import { useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { parseRangeText } from '@/core/time/parse';
import type { RangeText } from '@/core/time/parse';
import { describeRange, formatTime, quickRanges } from '@/core/time/range';
import { setZone, zoneName, zoneNames } from '@/core/time/zone';
import { Icon } from '@/ui/icons';
import { Button, IconButton, Popover } from '@/ui/kit';
import { useTime } from './time';
import { useUrl } from './url';
import { useZone } from './zone';

const recentKey = 'pharos.recentRanges';

function loadRecent(): RangeText[] {
  try {
    const list = JSON.parse(localStorage.getItem(recentKey) ?? '[]') as RangeText[];
    return Array.isArray(list) ? list.slice(0, 4) : [];
  } catch {
    return [];
  }
}

function saveRecent(r: RangeText): void {
  try {
    const rest = loadRecent().filter((x) => x.from !== r.from || x.to !== r.to);
    localStorage.setItem(recentKey, JSON.stringify([r, ...rest].slice(0, 4)));
  } catch {
    // Without storage there is no list of recent ranges.
  }
}

const refreshChoices = ['', '5s', '10s', '30s', '1m', '5m'];

export function TimePicker({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }): JSX.Element {
  const time = useTime();
  const now = Date.now();
  const every = refreshChoices.find((c) => c !== '' && parseMs(c) === time.every) ?? '';
  return (
    <div className="row" style={{ gap: 6 }} role="group" aria-label="Time range">
      <div className="group">
        <IconButton icon="left" label="Earlier" hint="[" onClick={() => time.shift(-1)} className="hide-small" />
        <Popover
          label="Time range"
          align="end"
          open={open}
          onOpenChange={onOpenChange}
          trigger={
            <Button icon="clock" data-testid="time-range" aria-label={`Time range: ${describeRange(time.text, now)}`}>
              <span className="num">{describeRange(time.text, now)}</span>
            </Button>
          }
        >
          <PickerBody onDone={() => onOpenChange(false)} />
        </Popover>
        <IconButton icon="chevron" label="Later" hint="]" onClick={() => time.shift(1)} className="hide-small" />
        <IconButton icon="zoomout" label="Zoom out" hint="z" onClick={time.zoomOut} />
      </div>
      <div className="group">
        <IconButton icon="refresh" label="Refresh" hint="r" onClick={time.refresh} />
        <label className="btn" style={{ padding: 0 }}>
          <span className="sr">Refresh every</span>
          <select className="select" style={{ border: 0, background: 'none', height: 26 }} value={every} onChange={(e) => time.setEvery(e.target.value)}>
            {refreshChoices.map((c) => (
              <option key={c} value={c}>
                {c || 'Off'}
              </option>
            ))}
          </select>
        </label>
      </div>
    </div>
  );
}

function parseMs(text: string): number {
  return Number.parseInt(text, 10) * (text.endsWith('m') ? 60_000 : 1000);
}

function ZoneSelect(): JSX.Element {
  const current = useZone();
  const { search, set } = useUrl();
  const choose = (z: string) => {
    setZone(z);
    // The user's choice counts more than what a dashboard asked for.
    if (search['timezone'] !== undefined) set({ timezone: undefined }, true);
  };
  const [names, setNames] = useState<string[]>([]);
  const fixed = ['browser', 'utc'];
  const rest = names.length > 0 ? names : fixed.includes(current) ? [] : [current];
  return (
    <label className="row" style={{ gap: 6 }}>
      <span className="faint" style={{ fontSize: 11.5 }}>
        Zone
      </span>
      {/* Several hundred names: made only for whoever looks. */}
      <select className="select" style={{ height: 24, maxWidth: 170 }} value={current} onFocus={() => setNames(zoneNames())} onChange={(e) => choose(e.target.value)} data-testid="zone">
        <option value="browser">{zoneName('browser')} (browser)</option>
        <option value="utc">UTC</option>
        {rest.map((n) => (
          <option key={n} value={n}>
            {n}
          </option>
        ))}
      </select>
    </label>
  );
}

function PickerBody({ onDone }: { onDone: () => void }): JSX.Element {
  const time = useTime();
  const [value, setValue] = useState('');
  const [recent] = useState(loadRecent);
  const now = useMemo(() => Date.now(), []);
  const parsed = value.trim() ? parseRangeText(value, now) : undefined;
  const choose = (r: RangeText) => {
    saveRecent(r);
    time.setRange(r);
    onDone();
  };
  useEffect(() => setValue(''), [time.text]);
  return (
    <div style={{ width: 400, padding: 10, display: 'grid', gap: 10 }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (parsed) choose(parsed);
        }}
      >
        <label>
          <span className="sr">Type or paste a time range</span>
          <input
            className="input mono"
            style={{ width: '100%', height: 32 }}
            placeholder={`${formatTime(time.range.from)} to ${formatTime(time.range.to)}`}
            value={value}
            onChange={(e) => setValue(e.target.value)}
            aria-invalid={value.trim() !== '' && !parsed}
            data-testid="time-input"
            autoFocus
          />
        </label>
        <div className="faint" style={{ fontSize: 11.5, marginTop: 5, minHeight: 17 }} aria-live="polite">
          {value.trim() === '' ? '1h · now-1d/d · 2026-11-23 14:00 to 15:30 · a pasted timestamp' : parsed ? describeRange(parsed, now) : 'Not a time range'}
        </div>
      </form>
      <div style={{ display: 'grid', gridTemplateColumns: '1fr 1fr', gap: 1 }}>
        {quickRanges.map((q) => (
          <button type="button" key={q.label} className="item" aria-current={q.range.from === time.text.from && q.range.to === time.text.to} onClick={() => choose(q.range)}>
            {q.label}
            {q.range.from === time.text.from && q.range.to === time.text.to && (
              <span className="end">
                <Icon name="check" size={13} />
              </span>
            )}
          </button>
        ))}
      </div>
      {recent.length > 0 && (
        <div>
          <div className="faint" style={{ fontSize: 11.5, padding: '0 8px 3px' }}>
            Recent
          </div>
          {recent.map((r) => (
            <button type="button" key={`${r.from} ${r.to}`} className="item num" onClick={() => choose(r)}>
              {describeRange(r, now)}
            </button>
          ))}
        </div>
      )}
      <div className="row" style={{ borderTop: '1px solid var(--line)', paddingTop: 8 }}>
        <IconButton small icon="left" label="Previous range" hint="{" disabled={!time.hasPrevious} onClick={time.previous} />
        <IconButton small icon="chevron" label="Next range" hint="}" disabled={!time.hasNext} onClick={time.next} />
        <Button
          small
          title="Turns the relative range into these absolute times (f)"
          onClick={() => {
            time.freeze();
            onDone();
          }}
        >
          Freeze
        </Button>
        <span className="grow" />
        <ZoneSelect />
      </div>
    </div>
  );
}
