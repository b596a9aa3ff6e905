import { expect, it } from 'vitest';
import { ago, describeRange, expandMacros, niceStep, rateInterval, shift, zoomOut } from './range';

const now = 1_795_466_770_000;
const hour = { from: now - 3_600_000, to: now };

it('climbs the ladder when zooming out of a relative range', () => {
  expect(zoomOut({ from: 'now-1h', to: 'now' }, hour, now)).toEqual({ from: 'now-3h', to: 'now' });
  expect(zoomOut({ from: 'now-45m', to: 'now' }, { from: now - 2_700_000, to: now }, now)).toEqual({ from: 'now-1h', to: 'now' });
  expect(zoomOut({ from: 'now-400d', to: 'now' }, { from: now - 400 * 86_400_000, to: now }, now)).toEqual({ from: 'now-90d', to: 'now' });
});

it('doubles an absolute range and stays in the past', () => {
  const r = { from: now - 4_000_000, to: now - 3_000_000 };
  expect(zoomOut({ from: String(r.from), to: String(r.to) }, r, now)).toEqual({ from: String(now - 4_500_000), to: String(now - 2_500_000) });
  expect(zoomOut({ from: String(hour.from), to: String(hour.to) }, hour, now).to).toBe(String(now));
});

it('shifts by half', () => {
  expect(shift(hour, -1, now)).toEqual({ from: String(now - 5_400_000), to: String(now - 1_800_000) });
  expect(shift(hour, 1, now)).toEqual({ from: String(now - 3_600_000), to: String(now) });
});

it('chooses steps and macros', () => {
  expect(niceStep(hour, 300)).toBe(15);
  expect(niceStep({ from: 0, to: 60_000 }, 300)).toBe(5);
  expect(niceStep({ from: 0, to: 30 * 86_400_000 }, 300)).toBe(10800);
  expect(rateInterval(15)).toBe(60);
  expect(rateInterval(300)).toBe(315);
  expect(expandMacros('rate(x[$__rate_interval]) + y[${__interval}] + z[$__range]', hour, 15)).toBe('rate(x[60s]) + y[15s] + z[3600s]');
});

it('describes', () => {
  expect(describeRange({ from: 'now-1h', to: 'now' }, now)).toBe('Last 1h');
  expect(describeRange({ from: 'now-1d/d', to: 'now-1d/d' }, now)).toBe('Yesterday');
  expect(describeRange({ from: 'now-6h', to: 'now-1h' }, now)).toBe('now-6h to now-1h');
  expect(ago(now - 3000, now)).toBe('3 s ago');
  expect(ago(now, now)).toBe('just now');
  expect(ago(now - 3 * 86_400_000, now)).toBe('3 d ago');
});
