// Editing a dashboard: nothing is lost by leaving it, and the forms for repetition, time and transformations.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { axe, demo, inBrowser, shot, until } from './lib.mjs';

let server;
let browser;
let tab;
let page;

const source = `{"title": "Edits", "uid": "edits", "x-own": 1.0,
"templating": {"list": [{"name": "service", "type": "custom", "query": "frontend,checkout,payment", "multi": true, "includeAll": true, "current": {"text": ["All"], "value": ["$__all"]}}]},
"panels": [
  {"id": 1, "type": "stat", "title": "One", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 8}, "x-own": 1.0, "targets": [{"refId": "A", "expr": "vector(1)"}]},
  {"id": 2, "type": "table", "title": "Rates", "gridPos": {"x": 0, "y": 8, "w": 24, "h": 8},  "x-own": 2.0, "targets": [{"refId": "A", "format": "table", "instant": true, "expr": "sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))"}]}
]}`;
const raw = (uid) => fetch(`${server.url}/api/dashboards/uid/${uid}/raw`).then((r) => r.text());
const button = (name) => page.getByRole('button', { name, exact: true });
const choice = (name) => page.getByRole('combobox', { name, exact: true });
const question = () => page.getByRole('alertdialog', { name: 'Leave without saving?' });
const commit = async (label, text) => {
  const field = page.getByLabel(label, { exact: true });
  await field.fill(text);
  await field.blur();
};

async function open() {
  const res = await fetch(`${server.url}/api/dashboards/db`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: `{"dashboard":${source},"overwrite":true}` });
  assert.equal(res.status, 200, await res.clone().text());
  await page.goto('/d/edits?from=now-15m&to=now');
  await page.getByTestId('stat').first().waitFor();
}
async function editPanel(section, n = 0) {
  await button('Edit').click();
  await page.getByTestId('panelmenu').nth(n).click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  await page.getByRole('tab', { name: new RegExp(`^${section}`) }).click();
}
async function save() {
  await button('Save').first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

describe('editing a dashboard', { timeout: 300_000 }, () => {
  inBrowser(demo, (s) => ({ server, browser, tab, page } = s));

  it('asks before unsaved edits are lost', async () => {
    await open();
    await button('Edit').click();
    // Nothing is changed yet: nothing is asked.
    await page.getByRole('link', { name: 'Logs', exact: true }).click();
    await page.getByTestId('stat').waitFor({ state: 'detached' });
    assert.match(page.url(), /\/logs/);
    await page.goBack();
    await editPanel('Panel');
    await commit('Title', 'Uno');
    await button('Back to the dashboard').click();
    await page.getByRole('link', { name: 'Logs', exact: true }).click();
    await question().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-leave');
    await button('Keep editing').click();
    await question().waitFor({ state: 'detached' });
    assert.match(page.url(), /\/d\/edits/);
    await page.getByText('Uno').waitFor();

    // The browser asks in its own words when the tab is closed or loaded again.
    const asked = [];
    page.once('dialog', (d) => {
      asked.push(d.type());
      void d.dismiss();
    });
    await page.reload({ timeout: 3000 }).catch(() => {});
    assert.deepEqual(asked, ['beforeunload']);
    await page.getByText('Uno').waitFor();

    await page.getByRole('link', { name: 'Logs', exact: true }).click();
    await question().getByRole('button', { name: 'Save…' }).click();
    await page.getByRole('dialog').getByLabel('Save as a copy').check();
    await page.getByRole('dialog').getByLabel('Title').fill(`Edits of ${Date.now()}`);
    await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
    await page.waitForURL((u) => u.pathname.startsWith('/d/') && !u.pathname.startsWith('/d/edits'));
    await page.getByText('Uno').waitFor();
    assert.ok(!(await raw('edits')).includes('Uno'));

    await button('Edit').click();
    await button('Add panel').click();
    await button('Back to the dashboard').click();
    await page.getByRole('link', { name: 'Metrics', exact: true }).click();
    await question().getByRole('button', { name: 'Discard and leave' }).click();
    await page.waitForURL(/\/explore\/metrics/);
    tab.clean();
  });

  it('a panel is repeated and has a time of its own without any JSON', async () => {
    await open();
    await editPanel('Panel');
    await choice('For each value of').selectOption('service');
    await choice('At most per row').selectOption('2');
    const last = page.getByRole('textbox', { name: 'Always the last', exact: true });
    await last.fill('a while');
    await page.getByText('A duration, such as 6h or 2d.').waitFor();
    await last.fill('6h');
    await commit('Earlier by', '1d');
    await page.getByText('last 6h, 1d earlier').waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-repeat');
    await page.getByLabel('Say so beside the title').uncheck();
    await page.getByText('last 6h, 1d earlier').waitFor({ state: 'detached' });
    await button('Back to the dashboard').click();
    await until('three panels', async () => (await page.locator('[data-testid=panel][data-panel="1"]').count()) === 3);
    await save();
    const text = await raw('edits');
    const made = JSON.parse(text).panels[0];
    assert.deepEqual([made.repeat, made.repeatDirection, made.maxPerRow, made.timeFrom, made.timeShift, made.hideTimeOverride], ['service', 'h', 2, '6h', '1d', true]);
    assert.ok(text.includes('"h": 8}, "x-own": 1.0, "targets": [{"refId": "A", "expr": "vector(1)"}]') && text.includes('"x-own": 2.0'), text);
    await editPanel('Panel');
    await choice('For each value of').selectOption('');
    await choice('At most per row').waitFor({ state: 'detached' });
    await save();
    assert.equal(JSON.parse(await raw('edits')).panels[0].repeatDirection, undefined);
    tab.clean();
  });

  it('transformations are made step by step', async () => {
    await open();
    await editPanel('Transform', 1);
    const table = page.getByTestId('paneleditor').locator('.g-preview table');
    const heads = async () => (await table.locator('th').allInnerTexts()).map((t) => t.trim());
    await table.getByText('checkout').waitFor();
    const add = async (kind) => {
      await button('Add transformation').click();
      if (kind) await choice('Do').selectOption(kind);
    };
    await add();
    await page.getByLabel('New name of service_name').waitFor();
    await page.getByLabel('Time', { exact: true }).uncheck();
    await commit('New name of service_name', 'Service');
    await until('a renamed column and no time', async () => (await heads()).join() === 'Service,Value');
    await button('Move Value up').click();
    await until('the other order', async () => (await heads()).join() === 'Value,Service');
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-organize');

    await add('calculateField');
    await commit('Name of the new field', 'Per minute');
    await commit('Left', 'Value');
    await choice('Operator').selectOption('*');
    await commit('Right', '60');
    await until('the calculated column', async () => (await heads()).join() === 'Value,Service,Per minute');
    await add('sortBy');
    await choice('By').selectOption('Service');
    await choice('Order').selectOption('desc');
    await add('limit');
    await commit('Rows', '2');
    await until('two rows', async () => (await table.locator('tbody tr').count()) === 2);
    await add('filterFieldsByName');
    await page.getByLabel('Per minute', { exact: true }).check();
    await page.getByLabel('Service', { exact: true }).check();
    await until('two columns', async () => (await heads()).join() === 'Service,Per minute');
    await page.getByLabel('On', { exact: true }).uncheck();
    await until('all columns again', async () => (await heads()).length === 3);
    await add('groupBy');
    await choice('Service').selectOption('groupby');
    await choice('Value').selectOption('aggregate');
    await page.getByRole('group', { name: 'Values of Value' }).getByLabel('Max', { exact: true }).check();
    await until('groups', async () => (await heads()).join() === 'Service,Value (lastNotNull),Value (max)');
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-transformations');
    await choice('Do').selectOption('reduce');
    await page.getByLabel('Mean', { exact: true }).check();
    await until('a row for each field', async () => (await heads()).join() === 'Field,Last,Mean');
    await choice('Do').selectOption('joinByField');
    await choice('Field').selectOption('Service');
    await choice('Do').selectOption('merge');
    await choice('Do').selectOption('convertFieldType');
    await page.getByRole('textbox', { name: 'Options of convertFieldType' }).waitFor();
    await button('Remove convertFieldType').click();
    await save();
    const text = await raw('edits');
    assert.deepEqual(JSON.parse(text).panels[1].transformations, [
      { id: 'organize', options: { excludeByName: { Time: true }, indexByName: { Time: 0, Value: 1, service_name: 2 }, renameByName: { service_name: 'Service' } } },
      { id: 'calculateField', options: { mode: 'binary', binary: { left: 'Value', operator: '*', right: '60' }, alias: 'Per minute' } },
      { id: 'sortBy', options: { sort: [{ field: 'Service', desc: true }] } },
      { id: 'limit', options: { limitField: 2 } },
      { id: 'filterFieldsByName', options: { include: { names: ['Per minute', 'Service'] } }, disabled: true },
    ]);
    assert.ok(text.includes('"h": 8},  "x-own": 2.0, "targets"'), text);
    tab.clean();
  });
});
