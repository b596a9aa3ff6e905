import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration, parseRangeText, parseTime, resolveRange } from './parse';

const now = Date.UTC(2026, 10, 24, 15, 30, 20, 500);

describe('parseTime', () => {
  const cases: [string, boolean, number | undefined][] = [
    ['now', false, now],
    ['now-1h', false, now - 3_600_000],
    ['now - 1h + 5m', false, now - 3_300_000],
    ['now-1d/d', false, Date.UTC(2026, 10, 23)],
    ['now-1d/d', true, Date.UTC(2026, 10, 24) - 1],
    ['now/h', false, Date.UTC(2026, 10, 24, 15)],
    ['now/w', false, Date.UTC(2026, 10, 23)],
    ['now-1M/M', false, Date.UTC(2026, 9, 1)],
    ['1795466770', false, 1795466770000],
    ['1795466770123', false, 1795466770123],
    ['1795466770123456789', false, 1795466770123.4568],
    ['2026-11-23', false, Date.UTC(2026, 10, 23)],
    ['2026-11-23', true, Date.UTC(2026, 10, 24) - 1],
    ['2026-11-23 14:00', false, Date.UTC(2026, 10, 23, 14)],
    ['2026-11-23T14:00:05.250Z', false, Date.UTC(2026, 10, 23, 14, 0, 5, 250)],
    ['2026-11-23T14:00:05+02:00', false, Date.UTC(2026, 10, 23, 12, 0, 5)],
    ['2026/11/23 14:00:05,123456', false, Date.UTC(2026, 10, 23, 14, 0, 5, 123)],
    ['14:05', false, Date.UTC(2026, 10, 24, 14, 5)],
    ['2026-13-01', false, undefined],
    ['25:00', false, undefined],
    ['yes', false, undefined],
    ['', false, undefined],
  ];
  for (const [text, up, want] of cases) {
    it(`${text}${up ? ' (end)' : ''}`, () => expect(parseTime(text, now, 'utc', up)).toBe(want));
  }
});

describe('parseRangeText', () => {
  const ms = (t: number) => String(t);
  const cases: [string, { from: string; to: string } | undefined][] = [
    ['1h', { from: 'now-1h', to: 'now' }],
    ['90m', { from: 'now-90m', to: 'now' }],
    ['last 15m', { from: 'now-15m', to: 'now' }],
    ['1h30m', { from: 'now-90m', to: 'now' }],
    ['today', { from: 'now/d', to: 'now' }],
    ['yesterday', { from: 'now-1d/d', to: 'now-1d/d' }],
    ['now-1d/d', { from: 'now-1d/d', to: 'now-1d/d' }],
    ['now-6h', { from: 'now-6h', to: 'now' }],
    ['now-6h to now-1h', { from: 'now-6h', to: 'now-1h' }],
    ['2026-11-23 14:00 to 15:30', { from: ms(Date.UTC(2026, 10, 23, 14)), to: ms(Date.UTC(2026, 10, 23, 15, 30)) }],
    ['2026-11-22 to 2026-11-23', { from: ms(Date.UTC(2026, 10, 22)), to: ms(Date.UTC(2026, 10, 24) - 1) }],
    ['2026-11-23 14:00 - 2026-11-23 15:00', { from: ms(Date.UTC(2026, 10, 23, 14)), to: ms(Date.UTC(2026, 10, 23, 15)) }],
    ['1795466770', { from: '1795466470000', to: '1795467070000' }],
    ['2026-11-23T14:00:00Z', { from: ms(Date.UTC(2026, 10, 23, 13, 55)), to: ms(Date.UTC(2026, 10, 23, 14, 5)) }],
    ['2026-11-23', { from: ms(Date.UTC(2026, 10, 23)), to: ms(Date.UTC(2026, 10, 24) - 1) }],
    ['15:00 to 14:00', undefined],
    ['now', undefined],
    ['soon', undefined],
    ['', undefined],
  ];
  for (const [text, want] of cases) it(text || 'empty', () => expect(parseRangeText(text, now, 'utc')).toEqual(want));
});

describe('resolveRange', () => {
  it('resolves both sides', () => {
    expect(resolveRange({ from: 'now-1h', to: 'now' }, now, 'utc')).toEqual({ from: now - 3_600_000, to: now });
    expect(resolveRange({ from: 'now-1d/d', to: 'now-1d/d' }, now, 'utc')).toEqual({ from: Date.UTC(2026, 10, 23), to: Date.UTC(2026, 10, 24) - 1 });
  });
  it('refuses nonsense', () => {
    expect(resolveRange({ from: 'now', to: 'now-1h' }, now)).toBeUndefined();
    expect(resolveRange({ from: 'x', to: 'now' }, now)).toBeUndefined();
  });
});

describe('durations', () => {
  it('parses', () => {
    expect(parseDuration('90')).toBe(90_000);
    expect(parseDuration('1h30m')).toBe(5_400_000);
    expect(parseDuration('250ms')).toBe(250);
    expect(parseDuration('1x')).toBeUndefined();
  });
  it('formats', () => {
    expect(formatDuration(5_400_000)).toBe('1h30m');
    expect(formatDuration(250)).toBe('250ms');
    expect(formatDuration(90_061_000)).toBe('1d1h1m1s');
  });
});
