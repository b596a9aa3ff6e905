// The pages of operators, with data, without, and when the server does not answer.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { axe, demo, inBrowser, shot } from './lib.mjs';

let server;
let tab;
let page;

describe('admin', { timeout: 600_000 }, () => {
  inBrowser(demo, (s) => ({ server, tab, page } = s));

  it('Cardinality goes from a metric to its labels to their values', async () => {
    await page.goto('/admin');
    const ranks = page.getByTestId('cardinality');
    await ranks.locator('tbody tr').nth(5).waitFor();
    await page.getByRole('region', { name: 'Never queried' }).locator('tbody tr').nth(2).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'admin-cardinality');
    await ranks.getByRole('button', { name: 'http_server_request_duration_seconds_bucket', exact: true }).first().click();
    await page.getByRole('region', { name: 'Labels' }).getByRole('button', { name: 'http_route', exact: true }).click();
    await page.getByRole('region', { name: 'Values of http_route' }).locator('tbody tr').first().waitFor();
    await page.getByRole('button', { name: /^Copy a rule that drops \// }).first().waitFor();
    await page.getByRole('button', { name: 'Log streams' }).click();
    await page.getByRole('region', { name: 'Stream labels' }).getByRole('button', { name: 'service_name', exact: true }).click();
    await page.getByRole('region', { name: 'Values of service_name' }).locator('tbody tr').nth(2).waitFor();
    await page.getByRole('button', { name: 'Span attributes' }).click();
    await page.getByRole('region', { name: 'Attributes' }).getByRole('button', { name: 'span.http.route', exact: true }).click();
    await page.getByRole('region', { name: 'Values of span.http.route' }).locator('tbody tr').nth(2).waitFor();
    assert.deepEqual(await axe(page), []);
    tab.clean();
  });

  it('Queries lists the costliest and cancels a running one', async () => {
    await server.json(`/api/v1/query?query=${encodeURIComponent('sum(up)')}`);
    await page.goto('/admin?tab=queries');
    await page.getByTestId('costly').locator('tbody tr').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'admin-queries');
    const running = { id: '7', language: 'promql', query: 'sum(rate(everything[30d]))', start_unix_ms: Date.now() - 9000, seconds: 9, bytes_read: 1e9, rows_scanned: 1e8, peak_memory: 1e8 };
    let cancelled = '';
    await page.route('**/api/pharos/v1/queries**', async (route) => {
      if (route.request().method() === 'DELETE') {
        cancelled = route.request().url();
        await route.fulfill({ status: 204 });
      } else await route.fulfill({ json: { running: cancelled ? [] : [running], slow: [], costly: [] } });
    });
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Nothing runs at this moment').waitFor();
    assert.match(cancelled, /queries\/7$/);
    await page.unroute('**/api/pharos/v1/queries**');
    tab.clean();
  });

  it('Ingest shows what was refused and why', async () => {
    const old = String((Date.now() - 400 * 86_400_000) * 1e6);
    await fetch(`${server.url}/loki/api/v1/push`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ streams: [{ stream: { service_name: 'checkout', job: 'ancient' }, values: [[old, 'from long ago']] }] }) });
    await page.goto('/admin?tab=ingest');
    await page.getByTestId('received').locator('tbody tr').nth(2).waitFor();
    await page.getByTestId('rejects').locator('tbody tr').filter({ hasText: 'logs' }).first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'admin-ingest');
    tab.clean();
  });

  it('Retention, disk, status and configuration', async () => {
    await page.goto('/admin?tab=retention');
    await page.getByTestId('retention').getByText('30 d').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'admin-retention');
    await page.getByRole('tab', { name: 'Status' }).click();
    await page.getByTestId('config').filter({ hasText: 'retention:' }).waitFor();
    await page.getByLabel('Filter the configuration').fill('segment_size');
    await page.getByTestId('config').filter({ hasText: /^wal:\n\s+segment_size/ }).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'admin-status');
    tab.clean();
  });

  it('every tab says when the server does not answer', async () => {
    await page.route(/\/api\/(pharos\/v1|v1\/status|v1\/targets)/, (route) => route.abort());
    for (const t of ['', 'queries', 'ingest', 'retention', 'status']) {
      await page.goto(`/admin${t ? `?tab=${t}` : ''}`);
      await page.locator('.errorbox').first().filter({ hasText: 'The server cannot be reached.' }).waitFor();
    }
    await page.unroute(/\/api\/(pharos\/v1|v1\/status|v1\/targets)/);
    tab.clean(/ERR_FAILED/);
  });
});
