import { expect, it } from 'vitest';
import { formatLogForm, metricOfLogs, parseLogForm, withPattern } from './builder';

it('reads and writes the same query', () => {
  for (const q of ['{service_name="a"}', '{a="x\\"y", b=~"c.*"} |= "err" != "debug" | json | status >= 500 | user="x"', '{a="b"} | trace_id="1f"', '{}']) {
    const f = parseLogForm(q);
    expect(f, q).toBeDefined();
    expect(formatLogForm(f!)).toBe(q);
  }
  expect(formatLogForm(parseLogForm('{a=`b`} |~ `x.y` | logfmt | d > 1.5s')!)).toBe('{a="b"} |~ "x.y" | logfmt | d > 1.5s');
});

it('leaves what it cannot show', () => {
  for (const q of ['rate({a="b"}[1m])', '{a="b"} | line_format "x"', '{a="b"} | json x="y"', '{a="b"} | a="b" or c="d"', '{a="b"} # note', '', '{a="b"']) expect(parseLogForm(q), q).toBeUndefined();
});

it('makes numbers and keeps patterns', () => {
  expect(metricOfLogs('{a="b"}', 'rate', 'level')).toBe('sum by (level) (rate({a="b"}\n[$__interval]))');
  expect(metricOfLogs('{a="b"}', 'bytes_rate', '')).toBe('sum(bytes_rate({a="b"}\n[$__interval]))');
  expect(withPattern('{a="b"} |= "x"', 'took <_> ms', false)).toBe('{a="b"} !> "took <_> ms" |= "x"');
});
