import { expect, it } from 'vitest';
import { buildFlame, flatten } from './flame';
import type { OtlpSpan } from './otlp';
import { traceGraph } from './services';
import { buildTree } from './tree';

const base = 1_795_466_604_000_000_000n;
const at = (ms: number) => String(base + BigInt(ms * 1e6));
const span = (id: string, parent: string, name: string, from: number, to: number, error = false): OtlpSpan => ({
  spanId: id.padStart(16, '0'),
  ...(parent ? { parentSpanId: parent.padStart(16, '0') } : {}),
  name,
  startTimeUnixNano: at(from),
  endTimeUnixNano: at(to),
  ...(error ? { status: { code: 2 } } : {}),
});
const resource = (service: string, spans: OtlpSpan[]) => ({ resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] }, scopeSpans: [{ spans }] });
const tree = buildTree({ resourceSpans: [resource('web', [span('1', '', 'root', 0, 100), span('2', '1', 'call', 0, 40), span('3', '1', 'call', 40, 80)]), resource('db', [span('4', '2', 'q', 0, 20), span('5', '3', 'q', 40, 70, true)])] });

it('merges spans of one path', () => {
  const [root] = buildFlame(tree);
  expect(root).toMatchObject({ name: 'root', x: 0, w: 1, count: 1, total: 100, self: 20 });
  const call = root!.children[0]!;
  expect(call).toMatchObject({ name: 'call', count: 2, total: 80, w: 0.8, depth: 1 });
  expect(call.children[0]).toMatchObject({ name: 'q', count: 2, total: 50, errors: 1, w: 0.5 });
  expect(tree.spanId[call.children[0]!.row]).toBe('0000000000000005');
  expect(flatten([root!], 0.6).map((n) => n.name)).toEqual(['root', 'call']);
});

it('keeps children inside their parent when they overlap', () => {
  const t = buildTree({ resourceSpans: [resource('a', [span('1', '', 'r', 0, 10), span('2', '1', 'x', 0, 10), span('3', '1', 'y', 0, 10)])] });
  const kids = buildFlame(t)[0]!.children;
  expect(kids.map((k) => k.w)).toEqual([0.5, 0.5]);
});

it('draws which services called which', () => {
  const { graph, totals } = traceGraph(tree);
  expect(graph.edges).toMatchObject([{ from: 'web', to: 'db', rate: 2, errors: 0.5 }]);
  expect(totals.get('web')).toMatchObject({ spans: 3 });
});
