// Dashboards: those that are shipped, one of each feature, import, editing, history and the seed's link to the logs.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { axe, demo, inBrowser, shot, until } from './lib.mjs';

const testdata = fileURLToPath(new URL('../src/grafana/testdata/', import.meta.url));
let server;
let tab;
let page;

const post = async (dashboard, more = {}) => {
  const res = await fetch(`${server.url}/api/dashboards/db`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ dashboard, overwrite: true, ...more }) });
  assert.equal(res.status, 200, await res.clone().text());
  return res.json();
};

/** Every panel once it is in view and has stopped loading. */
async function panels() {
  const all = page.getByTestId('panel');
  await all.first().waitFor();
  const out = [];
  for (let i = 0; i < (await all.count()); i++) {
    const p = all.nth(i);
    await p.scrollIntoViewIfNeeded();
    await until(`panel ${i}`, async () => (await p.getAttribute('data-state')) !== 'loading');
    out.push({ title: await p.getAttribute('aria-label'), type: await p.getAttribute('data-type'), state: await p.getAttribute('data-state'), blank: await p.evaluate((el) => !el.querySelector('canvas, svg:not(.g-head svg), table, .g-body *') || el.querySelector('.g-body').innerText.trim() === '' && !el.querySelector('.g-body canvas, .g-body svg')) });
  }
  return out;
}

describe('dashboards', { timeout: 900_000 }, () => {
  inBrowser(demo, (s) => ({ server, tab, page } = s));

  it('are listed, searched and starred', async () => {
    await page.goto('/d');
    await page.getByTestId('dashboardrow').nth(7).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboards');
    await page.getByRole('button', { name: 'Star Golden signals by service' }).click();
    await page.getByRole('button', { name: 'Starred', exact: true }).click();
    await until('one starred', async () => (await page.getByTestId('dashboardrow').count()) === 1);
    await page.goto('/d?q=nothing-like-it');
    await page.getByText('No dashboard matches').waitFor();
    assert.deepEqual(tab.problems(), []);
  });

  for (const uid of ['golden-signals', 'logs', 'otel-http', 'otel-rpc', 'otel-db', 'go-runtime']) {
    it(`${uid} is shipped and full of the demo's data`, async () => {
      await page.goto(`/d/${uid}?from=now-15m&to=now`);
      const list = await panels();
      assert.deepEqual(list.filter((p) => p.state === 'error' || p.blank), []);
      const empty = list.filter((p) => p.state === 'empty');
      assert.ok(empty.length <= (uid === 'go-runtime' ? 3 : 1), `empty: ${JSON.stringify(empty)}`);
      await page.evaluate(() => document.querySelector('.content').scrollTo(0, 0));
      assert.deepEqual(await axe(page), []);
      if (uid === 'golden-signals') {
        await shot(page, 'dashboard');
        await page.emulateMedia({ colorScheme: 'light' });
        await page.getByTestId('chart').first().waitFor();
        assert.deepEqual(await axe(page), []);
        await shot(page, 'dashboard-light');
        await page.emulateMedia({ colorScheme: 'dark' });
      }
      assert.deepEqual(tab.problems(), []);
    });
  }

  it('variables narrow the panels and stay in the address', async () => {
    await page.goto('/d/golden-signals?from=now-15m&to=now');
    await page.getByTestId('var-service').getByRole('button').click();
    await page.getByRole('menuitemcheckbox', { name: 'checkout' }).click();
    await page.keyboard.press('Escape');
    await page.waitForURL(/var-service=checkout/);
    await page.locator('[data-panel] .g-key', { hasText: 'checkout' }).first().waitFor();
    await until('only one line', async () => (await page.getByTestId('panel').nth(4).locator('.g-key').count()) === 1);
    assert.deepEqual(tab.problems(), []);
  });

  it('the seed’s dashboard renders, and its link lands on the logs of the service', async () => {
    const seed = JSON.parse(readFileSync(`${testdata}seed.json`, 'utf8'));
    await post({ ...seed, uid: 'seed', title: 'Seed' });
    await page.goto('/d/seed?from=now-15m&to=now');
    const link = page.getByTestId('stat').locator('a').first();
    await link.waitFor();
    const href = await link.getAttribute('href');
    const service = new URL(href, server.url).searchParams.get('var-service');
    assert.ok(service, href);
    await link.click();
    await page.waitForURL(/\/d\/logs\?/);
    await page.getByTestId('logline').first().waitFor();
    await page.getByTestId('logline').first().locator('button').click();
    await page.locator('.g-logfields dd', { hasText: service }).first().waitFor();
    assert.deepEqual(tab.problems(), []);
  });

  it('nothing of foreign dashboards is blank', async () => {
    for (const file of readdirSync(testdata).filter((f) => f.endsWith('.json') && f !== 'seed.json')) {
      const { url } = await post(JSON.parse(readFileSync(testdata + file, 'utf8')));
      await page.goto(`${url}?from=now-15m&to=now`);
      assert.deepEqual((await panels()).filter((p) => p.blank), [], file);
    }
    // MetricsQL in them is refused by name.
    assert.deepEqual(tab.problems(/status of 400/), []);
  });

  it('imports with a report before anything is saved', async () => {
    await page.goto('/d?import=1');
    await page.getByLabel('Dashboard JSON').fill(JSON.stringify({ title: 'Pasted', uid: 'pasted', panels: [{ type: 'geomap', title: 'Map', targets: [{ expr: 'up' }] }, { type: 'stat', title: 'One', targets: [{ expr: 'vector(1)' }] }] }));
    await page.getByTestId('report').getByText('panel type geomap').waitFor();
    assert.deepEqual(await axe(page), []);
    assert.equal((await fetch(`${server.url}/api/dashboards/uid/pasted`)).status, 404);
    await shot(page, 'dashboard-import');
    await page.getByRole('button', { name: 'Import', exact: true }).last().click();
    await page.waitForURL(/\/d\/pasted/);
    await page.getByTestId('unsupported').waitFor();
    assert.equal((await panels()).filter((p) => p.blank).length, 0);
    await page.getByLabel('Dashboard JSON').waitFor({ state: 'detached' });
    assert.deepEqual(tab.problems(/404/), []);
  });

  it('is edited, saved, compared and restored', async () => {
    await post({ uid: 'edit', title: 'Edited', panels: [{ id: 1, type: 'stat', title: 'Before', gridPos: { x: 0, y: 0, w: 8, h: 6 }, targets: [{ refId: 'A', expr: 'vector(41)' }] }] });
    await page.goto('/d/edit');
    await page.getByText('41').first().waitFor();
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: /^Move with/ }).press('ArrowRight');
    await page.getByTestId('panelmenu').click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    await page.getByTestId('paneleditor').waitFor();
    await page.locator('.g-code .cm-content').waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-edit');
    await page.getByRole('tab', { name: 'Panel' }).click();
    await page.getByLabel('Title', { exact: true }).fill('After');
    await page.getByLabel('Unit').fill('bytes');
    await page.getByLabel('Unit').press('Enter');
    await page.getByText('41 B').first().waitFor();
    await page.getByRole('button', { name: 'Back to the dashboard' }).click();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByLabel('What changed').fill('unit');
    await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    const saved = await (await fetch(`${server.url}/api/dashboards/uid/edit`)).json();
    assert.equal(saved.meta.version, 2);
    assert.deepEqual([saved.dashboard.panels[0].title, saved.dashboard.panels[0].gridPos.x], ['After', 1]);
    await page.getByRole('button', { name: 'History' }).click();
    await page.getByTestId('versions').locator('.item').first().click();
    await page.locator('.g-diff .add', { hasText: 'After' }).waitFor();
    await page.getByRole('button', { name: 'Restore' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByRole('heading', { name: 'Before' }).waitFor();
    assert.deepEqual(tab.problems(), []);
    assert.deepEqual(tab.foreign, []);
  });

  it('shows one panel alone, inspects it, and hides everything else in kiosk mode', async () => {
    await page.goto('/d/golden-signals?viewPanel=5&from=now-15m&to=now');
    await page.getByTestId('chart').waitFor();
    assert.equal(await page.getByTestId('panel').count(), 1);
    await page.getByTestId('panelmenu').click();
    await page.getByRole('menuitem', { name: 'Inspect data' }).click();
    await page.getByRole('dialog').getByRole('cell').first().waitFor();
    await page.getByRole('tab', { name: 'Query' }).click();
    await page.getByRole('dialog').getByText('sum by (service_name)').first().waitFor();
    await page.keyboard.press('Escape');
    await page.goto('/d/golden-signals?kiosk=1');
    await page.getByTestId('panel').first().waitFor();
    assert.equal(await page.getByRole('navigation', { name: 'Main' }).isVisible(), false);
    await page.keyboard.press('Escape');
    await page.getByRole('navigation', { name: 'Main' }).waitFor();
    assert.deepEqual(tab.problems(), []);
  });

  it('says when there is no such dashboard', async () => {
    await page.goto('/d/never-saved');
    await page.getByText('There is no such dashboard').waitFor();
    assert.deepEqual(tab.problems(/404/), []);
  });
});
