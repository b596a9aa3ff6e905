// The service map, the page of a service, and the way from "checkout is slow" to the reason.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { axe, demo, inBrowser, shot, until } from './lib.mjs';

let server;
let tab;
let page;

describe('services', { timeout: 600_000 }, () => {
  after(() => fetch(`${server.url}/api/pharos/v1/demo/fault`, { method: 'POST', body: '{"active": false}' }).catch(() => undefined));
  inBrowser(demo, (s) => ({ server, tab, page } = s));

  it('Map shows who calls whom, narrows, groups and explains a node', async () => {
    await page.goto('/services?view=map&refresh=5s');
    const nodes = page.locator('.gnode');
    await nodes.nth(7).waitFor();
    await until('calls between them', async () => (await page.locator('.gedge').count()) >= 8, 60_000);
    assert.deepEqual(await axe(page), []);
    await shot(page, 'services-map');
    const sticking = await page.locator('.gnode').evaluateAll((nodes) => nodes.filter((g) => [...g.querySelectorAll('.gname, .gdetail')].some((t) => t.getBoundingClientRect().right > g.querySelector('.body').getBoundingClientRect().right - 1)).map((g) => g.textContent));
    assert.deepEqual(sticking, [], 'texts end inside their nodes');
    const all = await nodes.count();
    await page.getByRole('button', { name: /^checkout/ }).click();
    const drawer = page.getByTestId('node-drawer');
    await drawer.getByRole('heading', { name: 'Called by' }).waitFor();
    assert.deepEqual(await axe(page), []);
    await drawer.getByRole('button', { name: 'Only its neighbours' }).click();
    await page.waitForURL(/focus=checkout/);
    await until('fewer nodes', async () => (await nodes.count()) < all);
    await page.getByRole('button', { name: 'Show the whole map' }).click();
    await page.getByLabel('Filter services').fill('payment');
    await until('fewer nodes', async () => (await nodes.count()) < all);
    await page.getByLabel('Filter services').fill('no such service');
    await page.getByText('No service is called').waitFor();
    await page.getByRole('button', { name: 'Clear the filter' }).click();
    await page.getByRole('button', { name: 'Group by namespace' }).click();
    await page.locator('.gnode[data-kind="group"]').first().waitFor();
    await page.locator('.gnode[data-kind="group"]').first().focus();
    await page.keyboard.press('Enter');
    await drawer.getByRole('button', { name: /^Show its/ }).click();
    await until('the group is open', async () => (await nodes.count()) >= all - 1);
    tab.clean();
  });

  it('Service shows objectives, operations, dependencies, errors and patterns', async () => {
    await page.goto('/services/checkout');
    await page.getByRole('heading', { name: 'Operations' }).waitFor();
    await page.getByRole('group', { name: 'Objectives in this time range' }).getByText('%', { exact: false }).first().waitFor();
    await page.getByRole('region', { name: 'Dependencies' }).locator('tbody tr').first().waitFor();
    await page.getByTestId('top-errors').locator('tbody tr').first().waitFor();
    await page.getByRole('region', { name: 'Log patterns' }).locator('tbody tr').first().waitFor();
    await page.getByRole('region', { name: 'Runtime and host' }).locator('.card').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'service');
    await page.getByTestId('top-errors').locator('a').first().click();
    await page.waitForURL(/\/traces\?/);
    await page.getByTestId('trace-list').locator('tbody tr').first().waitFor();
    tab.clean();
  });

  it('a service that does not exist says so', async () => {
    await page.goto('/services/nobody');
    await page.getByText('No request metrics').waitFor();
    await page.getByText('No calls were measured').waitFor();
    await page.getByText('No span failed').waitFor();
    tab.clean();
  });

  it('from "checkout is slow" to the guilty span and its log line in four clicks', async () => {
    await fetch(`${server.url}/api/pharos/v1/demo/fault`, { method: 'POST', body: '{"active": true}' });
    const slow = encodeURIComponent('histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{service_name="checkout"}[1m])))');
    await until('checkout is slow', async () => Number((await server.json(`/api/v1/query?query=${slow}`)).data.result[0]?.value[1] ?? 0) > 1.5, 90_000);
    let clicks = 0;
    const click = async (what) => {
      clicks++;
      await what.click();
    };
    await page.goto('/?from=now-5m&to=now');
    await page.getByTestId('services').locator('tbody tr').first().waitFor();
    await click(page.getByTestId('services').getByRole('link', { name: 'checkout', exact: true }));
    await page.waitForURL(/\/services\/checkout/);
    await page.locator('.exemplar').first().waitFor({ state: 'attached' });
    // The newest of the high diamonds: the fault is what happens now.
    const choose = (press) => {
      const label = (e) => e.getAttribute('aria-label') ?? '';
      const high = [...document.querySelectorAll('.exemplar')].filter((e) => Number(/Exemplar ([\d.]+) s /.exec(label(e))?.[1] ?? 0) >= 2).sort((x, y) => (label(x).slice(-19) < label(y).slice(-19) ? 1 : -1));
      if (press) high[0].click();
      return high.length;
    };
    await until('a diamond of a slow trace', () => page.evaluate(choose, false), 60_000);
    clicks++;
    await page.evaluate(choose, true);
    await click(page.getByRole('link', { name: 'Open trace' }));
    await click(page.getByTestId('bottleneck'));
    const drawer = page.getByTestId('span-drawer');
    await drawer.getByText('SELECT accounts').first().waitFor();
    await drawer.getByTestId('span-logs').getByText(/slow query/).first().waitFor();
    await shot(page, 'trace-guilty');
    assert.ok(clicks <= 4, `${clicks} clicks`);
    tab.clean();
  });
});
