import { expect, it } from 'vitest';
import { emptyDashboard, withPanel } from './panel';

it('puts the query on a new dashboard and on one that has panels', () => {
  const first = withPanel(emptyDashboard('Mine'), 'Up', 'sum(up)', 's');
  expect(first).toMatchObject({ title: 'Mine', panels: [{ id: 1, type: 'timeseries', title: 'Up', targets: [{ refId: 'A', expr: 'sum(up)' }], fieldConfig: { defaults: { unit: 's' } } }] });
  const second = withPanel({ ...first, uid: 'u', extra: { kept: true } }, 'Down', 'absent(up)', 'none');
  expect(second['panels']).toMatchObject([{ id: 2, title: 'Down', gridPos: { y: 0 } }, { id: 1, title: 'Up', gridPos: { y: 8 } }]);
  expect(second).toMatchObject({ uid: 'u', extra: { kept: true } });
  // What was given is left as it was.
  expect(first['panels']).toHaveLength(1);
});
