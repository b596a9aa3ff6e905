import { expect, it } from 'vitest';
import { hexId, isError, kindName, valueText } from './otlp';
import type { OtlpSpan, OtlpTrace } from './otlp';
import { bottleneck, buildTree, childrenOf, findSpans, visibleRows } from './tree';

const base = 1_795_466_604_000_000_000n;
const at = (ms: number) => String(base + BigInt(Math.round(ms * 1e6)));
const span = (id: string, parent: string, name: string, from: number, to: number, extra: Partial<OtlpSpan> = {}): OtlpSpan => ({
  traceId: '000000000000000000000000000000a1',
  spanId: id.padStart(16, '0'),
  ...(parent ? { parentSpanId: parent.padStart(16, '0') } : {}),
  name,
  startTimeUnixNano: at(from),
  endTimeUnixNano: at(to),
  ...extra,
});
const resource = (service: string, spans: OtlpSpan[]) => ({
  resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] },
  scopeSpans: [{ scope: { name: 'lib' }, spans }],
});

const trace: OtlpTrace = {
  resourceSpans: [
    resource('db', [span('4', '3', 'SELECT', 40, 60, { status: { code: 'STATUS_CODE_ERROR' } })]),
    resource('cart', [span('3', '2', 'GET /cart', 30, 80), span('5', '2', 'cache', 12, 20)]),
    resource('web', [span('1', '', 'GET /', 0, 100), span('2', '1', 'call cart', 10, 90, { attributes: [{ key: 'peer', value: { stringValue: 'Cart-7' } }] })]),
  ],
};

it('orders depth first and measures', () => {
  const t = buildTree(trace);
  expect(t.name).toEqual(['GET /', 'call cart', 'cache', 'GET /cart', 'SELECT']);
  expect([...t.depth]).toEqual([0, 1, 2, 2, 3]);
  expect([...t.parent]).toEqual([-1, 0, 1, 1, 3]);
  expect([...t.descendants]).toEqual([4, 3, 0, 1, 0]);
  expect(t.durationMs).toBe(100);
  expect(t.start[4]).toBe(40);
  expect([...t.self]).toEqual([20, 22, 8, 30, 20]);
  expect(t.services).toEqual(['web', 'cart', 'db']);
  expect(t.errors).toBe(1);
  expect(t.startNs).toBe(base);
  expect(childrenOf(t, 1)).toEqual([2, 3]);
  expect(t.orphans).toBe(0);
});

it('marks the critical path', () => {
  expect([...buildTree(trace).critical]).toEqual([1, 1, 1, 1, 1]);
  const t = buildTree({ resourceSpans: [resource('a', [span('1', '', 'r', 0, 100), span('2', '1', 'long', 0, 90), span('3', '1', 'hidden', 10, 80)])] });
  expect([...t.critical]).toEqual([1, 1, 0]);
});

it('finds where the time went', () => {
  const t = buildTree(trace);
  expect(t.name[bottleneck(t)]).toBe('GET /cart');
  expect(bottleneck(buildTree({}))).toBe(-1);
});

it('collapses', () => {
  const t = buildTree(trace);
  expect([...visibleRows(t, new Set())]).toEqual([0, 1, 2, 3, 4]);
  expect([...visibleRows(t, new Set([3]))]).toEqual([0, 1, 2, 3]);
  expect([...visibleRows(t, new Set([0]))]).toEqual([0]);
});

it('finds by name, service, attribute, id and error', () => {
  const t = buildTree(trace);
  expect(findSpans(t, 'select')).toEqual([4]);
  expect(findSpans(t, 'CART')).toEqual([1, 2, 3]);
  expect(findSpans(t, 'cart-7')).toEqual([1]);
  expect(findSpans(t, '0000000000000005')).toEqual([2]);
  expect(findSpans(t, 'error')).toEqual([4]);
  expect(findSpans(t, ' ')).toEqual([]);
});

it('survives empty traces, orphans, self parents and cycles', () => {
  expect(buildTree({}).size).toBe(0);
  expect(buildTree({}).root).toBe(-1);
  const t = buildTree({
    resourceSpans: [resource('a', [span('1', '1', 'self', 0, 1), span('2', '9', 'orphan', 0, 1), span('3', '4', 'c1', 2, 3), span('4', '3', 'c2', 2, 3)])],
  });
  expect(t.size).toBe(4);
  expect(new Set(t.name)).toEqual(new Set(['self', 'orphan', 'c1', 'c2']));
  expect(t.durationMs).toBe(3);
});

it('prefers the real root over an earlier orphan', () => {
  const t = buildTree({ resourceSpans: [resource('a', [span('2', '9', 'early orphan', 0, 5), span('1', '', 'root', 2, 9)])] });
  expect(t.name[t.root]).toBe('root');
  expect(t.orphans).toBe(1);
});

it('builds a large trace quickly', () => {
  const spans: OtlpSpan[] = [];
  for (let i = 1; i <= 50_000; i++) spans.push(span(i.toString(16), i === 1 ? '' : Math.floor(i / 2).toString(16), `op ${i % 50}`, i / 100, i / 100 + 10));
  const started = performance.now();
  const t = buildTree({ resourceSpans: [resource('a', spans)] });
  expect(t.size).toBe(50_000);
  expect(performance.now() - started).toBeLessThan(5000);
});

it('reads ids, kinds, values and states', () => {
  expect(hexId('AAAAAAAAAAAAAAAAAADDAA==')).toBe('0000000000000000000000000000c300');
  expect(hexId('AAAAAAAAADI=')).toBe('0000000000000032');
  expect(hexId('00000000000000AF')).toBe('00000000000000af');
  expect(hexId('AAAAAAAAAAA=')).toBe('');
  expect(hexId(undefined)).toBe('');
  expect(hexId('%')).toBe('%');
  expect(kindName('SPAN_KIND_SERVER')).toBe('server');
  expect(kindName(3)).toBe('client');
  expect(kindName(undefined)).toBe('');
  expect(isError({ code: 2 })).toBe(true);
  expect(isError({})).toBe(false);
  expect(valueText({ arrayValue: { values: [{ intValue: '1' }, { boolValue: false }] } })).toBe('[1, false]');
  expect(valueText({ kvlistValue: { values: [{ key: 'a', value: { doubleValue: 1.5 } }] } })).toBe('{a: 1.5}');
  expect(valueText(undefined)).toBe('');
});
