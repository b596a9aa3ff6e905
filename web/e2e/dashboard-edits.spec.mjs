// Editing a dashboard: nothing is lost by leaving it, and the forms for repetition, time and transformations.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { axe, demo, openBrowser, openPage, shot } from './lib.mjs';

let server;
let browser;
let tab;
let page;

const source = `{"title": "Edits", "uid": "edits", "panels": [
  {"id": 1, "type": "stat", "title": "One", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 8}, "x-own": 1.0, "targets": [{"refId": "A", "expr": "vector(1)"}]}
]}`;
const raw = (uid) => fetch(`${server.url}/api/dashboards/uid/${uid}/raw`).then((r) => r.text());
const button = (name) => page.getByRole('button', { name, exact: true });
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
async function editPanel(section) {
  await button('Edit').click();
  await page.getByTestId('panelmenu').first().click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  await page.getByRole('tab', { name: new RegExp(`^${section}`) }).click();
}
async function save() {
  await button('Save').first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

describe('editing a dashboard', { timeout: 300_000 }, () => {
  before(async () => {
    server = await demo();
    browser = await openBrowser();
    tab = await openPage(browser, server.url);
    page = tab.page;
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it('asks before unsaved edits are lost', async () => {
    await open();
    await button('Edit').click();
    // Nothing is changed yet: nothing is asked.
    await page.getByRole('link', { name: 'Logs', exact: true }).click();
    await page.waitForURL(/\/logs/);
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
});
