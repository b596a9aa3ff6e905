import { afterEach, expect, it } from 'vitest';
import { parseRangeText, parseTime } from './parse';
import { formatTime } from './range';
import { fromWall, isZone, offsetAt, setZone, zone } from './zone';

afterEach(() => setZone('browser'));

const h = 3_600_000;
const winter = Date.UTC(2026, 0, 15, 12);
const summer = Date.UTC(2026, 6, 15, 12);

it('knows offsets with and without summer time', () => {
  expect(offsetAt(winter, 'Europe/Berlin')).toBe(h);
  expect(offsetAt(summer, 'Europe/Berlin')).toBe(2 * h);
  expect(offsetAt(winter, 'Asia/Kolkata')).toBe(5.5 * h);
  expect(offsetAt(winter, 'utc')).toBe(0);
  expect(isZone('Mars/Olympus')).toBe(false);
});

it('reads wall clocks around the change', () => {
  // Berlin goes from 02:00 to 03:00 on 29 March 2026 at 01:00 UTC.
  expect(fromWall(Date.UTC(2026, 2, 29, 1, 30), 'Europe/Berlin')).toBe(Date.UTC(2026, 2, 29, 0, 30));
  expect(fromWall(Date.UTC(2026, 2, 29, 3, 30), 'Europe/Berlin')).toBe(Date.UTC(2026, 2, 29, 1, 30));
});

it('writes and reads in the chosen zone', () => {
  setZone('America/New_York');
  expect(zone()).toBe('America/New_York');
  expect(formatTime(winter)).toBe('2026-01-15 07:00:00');
  expect(parseTime('2026-01-15 07:00', winter)).toBe(winter);
  expect(parseTime('now/d', winter)).toBe(Date.UTC(2026, 0, 15, 5));
  expect(parseRangeText('2026-01-15 07:00 to 08:00', winter)).toEqual({ from: String(winter), to: String(winter + h) });
  expect(parseTime('2026-01-15T07:00:00Z', winter)).toBe(Date.UTC(2026, 0, 15, 7));
});
