import { expect, it } from 'vitest';
import { formatValue, guessUnit, seconds } from './units';
import type { Unit } from './units';

const values: [number | null, Unit, string][] = [
  [null, 'none', '–'],
  [NaN, 'none', '–'],
  [Infinity, 'none', '∞'],
  [0, 'none', '0'],
  [1234, 'none', '1.23k'],
  [0.001234, 'none', '0.00123'],
  [1e-9, 'none', '1.00e-9'],
  [1536, 'bytes', '1.5 KiB'],
  [5 * 1024 ** 3, 'bytes', '5 GiB'],
  [2048, 'Bps', '2 KiB/s'],
  [0.1234, 'ratio', '12.3%'],
  [45, 'percent', '45%'],
  [12.5, 'perSecond', '12.5/s'],
  [0.0042, 's', '4.2 ms'],
  [1.5e-7, 's', '150 ns'],
  [3700, 's', '61.7 min'],
];
for (const [v, unit, want] of values) it(`${v} as ${unit}`, () => expect(formatValue(v, unit)).toBe(want));

const guesses: [string, Unit][] = [
  ['process_resident_memory_bytes', 'bytes'],
  ['rate(node_network_receive_bytes_total[5m])', 'Bps'],
  ['histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[5m])))', 's'],
  ['sum(rate(http_requests_total[5m]))', 'perSecond'],
  ['sum(rate(x_count{code=~"5.."}[5m])) / sum(rate(x_count[5m]))', 'ratio'],
  ['100 * sum(rate(a[5m])) / sum(rate(b[5m]))', 'percent'],
  ['rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])', 's'],
  ['cache_hit_ratio', 'ratio'],
  ['up', 'none'],
  ['rate(process_cpu_seconds_total[1m])', 'none'],
];
for (const [expr, want] of guesses) it(expr, () => expect(guessUnit(expr)).toBe(want));

it('keeps zero', () => expect(seconds(0)).toBe('0 s'));
