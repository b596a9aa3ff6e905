import { expect, it } from 'vitest';
import { buildGraph, filterGraph, focusGraph, groupGraph } from './graph';
import type { Known, Sample } from './graph';

const s = (client: string, server: string, value: number, connection_type = ''): Sample => ({ labels: { client, server, connection_type }, value });
const known = new Map<string, Known>([['web', { namespace: 'shop', rate: 10, errors: 0.1, p95: 0.2 }], ['api', { namespace: 'shop', rate: 8, errors: 0, p95: undefined }]]);
const g = buildGraph([s('web', 'api', 8), s('api', 'mysql', 20, 'database'), s('api', 'pay', 2), s('pay', 'bank.example', 1, 'virtual_node'), s('', 'x', 1)], [s('api', 'pay', 1)], [s('web', 'api', 0.05), s('api', 'pay', NaN)], known);

it('joins edges with their failures and durations', () => {
  expect(g.edges.length).toBe(4);
  expect(g.edges[0]).toEqual({ from: 'web', to: 'api', rate: 8, errors: 0, p95: 0.05, kind: '' });
  expect(g.edges[2]).toMatchObject({ errors: 0.5, p95: undefined });
  expect(Object.fromEntries(g.nodes.map((n) => [n.id, n.kind]))).toEqual({ api: 'service', 'bank.example': 'external', mysql: 'database', pay: 'service', web: 'service' });
  expect(g.nodes.find((n) => n.id === 'pay')).toMatchObject({ rate: 2, errors: 0.5 });
  expect(g.nodes.find((n) => n.id === 'web')).toMatchObject({ rate: 10, errors: 0.1, namespace: 'shop' });
});

it('filters with neighbours and focuses on hops', () => {
  expect(filterGraph(g, 'MYSQL').nodes.map((n) => n.id)).toEqual(['api', 'mysql']);
  expect(filterGraph(g, ' ').nodes.length).toBe(5);
  expect(focusGraph(g, 'web', 1).nodes.map((n) => n.id)).toEqual(['api', 'web']);
  expect(focusGraph(g, 'web', 2).nodes.length).toBe(4);
  expect(focusGraph(g, 'web', 9).edges.length).toBe(4);
});

it('groups by namespace and keeps what is opened', () => {
  const grouped = groupGraph(g, new Set());
  expect(grouped.nodes.map((n) => n.id).sort()).toEqual(['bank.example', 'group:shop', 'mysql', 'pay']);
  expect(grouped.edges.map((e) => `${e.from}>${e.to}`)).toEqual(['group:shop>mysql', 'group:shop>pay', 'pay>bank.example']);
  expect(grouped.nodes.find((n) => n.id === 'group:shop')).toMatchObject({ rate: 18, members: ['api', 'web'] });
  expect(groupGraph(g, new Set(['shop'])).nodes.length).toBe(5);
});
