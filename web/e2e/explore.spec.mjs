// Asking questions: forms, menus, tables, patterns, comparisons, and what travels between pages.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { axe, demo, inBrowser, shot, until } from './lib.mjs';

let server;
let tab;
let page;

const q = (text) => encodeURIComponent(text);
const p95 = 'histogram_quantile(0.95, sum by (le, job) (rate(http_server_request_duration_seconds_bucket[$__rate_interval])))';
const address = () => decodeURIComponent(page.url()).replaceAll('+', ' ');

describe('exploring', { timeout: 600_000 }, () => {
  inBrowser(demo, (s) => ({ server, tab, page } = s));

  it('Metrics: the form writes the query', async () => {
    await page.goto(`/explore/metrics?q=${q(p95)}`);
    await page.getByTestId('legend').waitFor();
    await page.getByRole('button', { name: 'Builder' }).click();
    const form = page.getByTestId('builder');
    await form.getByLabel('Quantile').selectOption('0.99');
    await until('the new quantile', () => address().includes('histogram_quantile(0.99'));
    await form.getByRole('button', { name: 'Add a label to group by' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'http_route', exact: true }).click();
    await until('one more label', () => address().includes('(le, job, http_route)'));
    await form.getByRole('button', { name: 'Add a label filter' }).click();
    await form.getByLabel('Label', { exact: true }).selectOption('service_name');
    await form.getByLabel('Value').fill('checkout');
    await form.getByLabel('Value').press('Enter');
    await until('a filter', () => address().includes('service_name="checkout"'));
    assert.deepEqual(await axe(page), []);
    await shot(page, 'metrics-builder');
    await page.getByRole('button', { name: 'Code', exact: true }).click();
    tab.clean();
  });

  it('Metrics: a right click leads on', async () => {
    await page.goto(`/explore/metrics?q=${q(p95)}`);
    await page.getByTestId('legend').locator('tbody tr').nth(2).waitFor();
    const open = async () => {
      const box = await page.locator('.u-over').boundingBox();
      await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
      await page.mouse.click(box.x + box.width * 0.5, box.y + 60, { button: 'right' });
      await page.getByTestId('point-menu').waitFor();
    };
    await open();
    await shot(page, 'metrics-menu');
    await page.getByRole('menuitem', { name: 'Break down by label' }).click();
    await page.getByRole('menuitem', { name: 'http_route' }).click();
    await until('broken down', () => address().includes('(le, job, http_route)'));
    await page.goBack();
    await until('back', () => !address().includes('http_route'));
    await page.getByTestId('legend').locator('tbody tr').nth(2).waitFor();
    await open();
    await page.getByRole('menuitem', { name: 'Traces at this moment', exact: true }).click();
    await page.waitForURL(/\/traces\?.*from=\d{13}/);
    // The trail leads back to the very same chart.
    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('button', { name: /^http_server/ }).click();
    await page.waitForURL(/\/explore\/metrics/);
    await page.getByTestId('legend').waitFor();
    tab.clean();
  });

  it('Metrics: a query becomes a panel, on a new dashboard and on that one', async () => {
    const add = async (fill) => {
      await page.goto(`/explore/metrics?q=${q(p95)}`);
      await page.getByTestId('legend').locator('tbody tr').nth(2).waitFor();
      const box = await page.locator('.u-over').boundingBox();
      await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
      await page.mouse.click(box.x + box.width * 0.5, box.y + 60, { button: 'right' });
      await page.getByRole('menuitem', { name: 'Add to dashboard' }).click();
      const form = page.getByTestId('add-panel');
      await form.waitFor();
      await fill(form);
      assert.deepEqual(await axe(page), []);
      await form.getByRole('button', { name: 'Add', exact: true }).click();
      await form.getByRole('link', { name: 'Open the dashboard' }).click();
      await page.waitForURL(/\/d\//);
    };
    const panel = (title) => page.getByTestId('panel').and(page.getByLabel(title, { exact: true }));
    await add(async (form) => {
      await form.getByLabel('Title of the dashboard').fill('Kept queries');
      await form.getByLabel('Title of the panel').fill('Slowest');
    });
    await panel('Slowest').locator('canvas').waitFor();
    await add(async (form) => {
      await form.locator('select').selectOption({ label: 'Kept queries' });
      await form.getByLabel('Title of the panel').fill('Slowest again');
    });
    await panel('Slowest again').locator('canvas').waitFor();
    await panel('Slowest').locator('canvas').waitFor();
    const uid = /\/d\/([^/?]+)/.exec(page.url())[1];
    assert.ok((await fetch(`${server.url}/api/dashboards/uid/${uid}`, { method: 'DELETE' })).ok);
    tab.clean();
  });

  it('Metrics: table of a chart, keyboard cursor, hidden rows, capped series', async () => {
    await page.goto(`/explore/metrics?q=${q('sum(rate(http_server_request_duration_seconds_count[$__rate_interval]))')}&q=${q('up')}`);
    const chart = page.getByTestId('chart');
    await page.getByTestId('legend').locator('tbody tr').first().waitFor();
    await chart.focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await until('the value in words', async () => /\d{4}-\d\d-\d\d/.test(await page.locator('.chart [aria-live]').innerText()));
    await page.getByRole('button', { name: 'View as table' }).click();
    await page.getByRole('region', { name: /as a table/ }).locator('tbody tr').nth(3).waitFor();
    await page.getByRole('button', { name: 'View as chart' }).click();
    await page.getByRole('button', { name: 'Hide query B' }).click();
    await page.waitForURL(/hide=B/);
    await page.getByRole('tab', { name: 'Explain' }).click();
    await page.getByTestId('explain').getByText('Would read').waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'metrics-explain');
    await page.goto(`/explore/metrics?q=${q('{__name__=~"traces_spanmetrics_latency_bucket|http_server_request_duration_seconds_bucket|http_client_request_duration_seconds_bucket"}')}`);
    await page.getByText(/series are drawn/).waitFor();
    await page.getByRole('button', { name: 'Top 20' }).click();
    await until('the top', () => address().includes('topk(20'));
    tab.clean();
  });

  it('Logs: form, patterns, numbers, remembered columns', async () => {
    await page.goto(`/logs?q=${q('{service_name="checkout"}')}`);
    await page.locator('.logrow').nth(3).waitFor();
    await page.getByRole('button', { name: 'Builder' }).click();
    const form = page.getByTestId('builder');
    await form.getByRole('button', { name: 'Add a line filter' }).click();
    await form.getByLabel('Text in the line').fill('order');
    await form.getByLabel('Text in the line').press('Enter');
    await until('a line filter', () => address().includes('|= "order"'));
    assert.deepEqual(await axe(page), []);
    await page.getByRole('button', { name: 'Code', exact: true }).click();
    await page.getByRole('button', { name: /^Column order_id/ }).first().click();
    await page.waitForURL(/cols=order_id/);
    await page.goto(`/logs?q=${q('{service_name="checkout"}')}`);
    await page.locator('.logrow .col').first().waitFor();
    await page.getByRole('tab', { name: 'Patterns' }).click();
    const patterns = page.getByTestId('patterns');
    await patterns.locator('tbody tr').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'logs-patterns');
    await patterns.getByRole('button', { name: 'Only lines of this pattern' }).first().click();
    await until('a pattern filter', () => address().includes('|> "'));
    await page.locator('.logrow').first().waitFor();
    await page.getByRole('tab', { name: 'Metric' }).click();
    await page.getByTestId('chart').waitFor();
    await page.getByLabel('Group by').selectOption('service_name');
    await page.getByRole('button', { name: 'Edit as query' }).click();
    await until('a metric query', () => address().includes('sum by (service_name) (rate('));
    await page.getByTestId('chart').waitFor();
    tab.clean();
  });

  it('Traces: rate, errors, durations and why a box is slow', async () => {
    await page.goto('/traces');
    await page.getByTestId('red').getByTestId('chart').nth(2).waitFor();
    await page.getByTestId('trace-list').locator('tbody tr').first().waitFor();
    await page.getByRole('tab', { name: 'Why slow' }).click();
    const compare = page.getByTestId('compare');
    await compare.waitFor({ timeout: 40_000 });
    await compare.getByRole('heading', { name: 'Where the extra time goes' }).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'traces-why');
    await page.getByRole('button', { name: 'The failed' }).click();
    await page.waitForURL(/select=failed/);
    await compare.locator('.factors li').first().waitFor({ timeout: 40_000 });
    await compare.locator('.factors').getByRole('button', { name: /^Only / }).first().click();
    await page.waitForURL(/[?&]q=/);
    tab.clean();
  });

  it('Traces: what a query would read', async () => {
    await page.goto(`/traces?q=${q('({ resource.service.name = "checkout" } >> { kind = client }) | by(name) | count() > 1')}`);
    await page.getByRole('tab', { name: 'Explain' }).click();
    await page.waitForURL(/tab=explain/);
    const plan = page.getByTestId('explain');
    await plan.getByText(/^Would read/).waitFor();
    const [row] = await plan.locator('tbody tr').all();
    assert.match(await row.innerText(), /resource\.service\.name = "checkout"/);
    assert.ok(Number((await row.locator('td').nth(4).innerText()).replaceAll(',', '')) > 0, 'spans');
    assert.deepEqual(await axe(page), []);
    await shot(page, 'traces-explain');
    // A search ignores the metrics function, and so does its price; nothing can match the other.
    await page.goto(`/traces?tab=explain&q=${q('{ status = error } | rate()')}`);
    await until('spans to look at', async () => Number((await plan.locator('tbody td').nth(4).innerText()).replaceAll(',', '')) > 0);
    await page.goto(`/traces?tab=explain&q=${q('{ span.nosuch = "x" }')}`);
    await plan.getByText('No span in this time range can match.').waitFor();
    tab.clean();
  });

  it('Trace: flame graph and map of services', async () => {
    await page.goto(`/traces?q=${q('{ rootName = "POST /checkout" }')}`);
    await page.getByTestId('trace-list').locator('tbody tr a').first().click();
    await page.locator('.wf-row').nth(5).waitFor();
    await page.getByRole('tab', { name: 'Flame' }).click();
    const box = page.locator('.flamebox');
    await box.nth(5).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'trace-flame');
    await box.nth(2).click();
    await page.getByRole('button', { name: 'Whole trace' }).click();
    await page.getByRole('tab', { name: 'Graph' }).click();
    await page.locator('.gnode').nth(4).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'trace-graph');
    tab.clean();
  });

  it('carries the context, the trail and the range', async () => {
    await page.goto('/services');
    await page.getByTestId('services').getByRole('link', { name: 'checkout', exact: true }).click();
    await page.waitForURL(/\/services\/checkout/);
    const chips = page.getByRole('group', { name: 'Looking into' });
    await chips.getByText('checkout').waitFor();
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Logs' }).click();
    await page.locator('.cm-content').filter({ hasText: 'service_name="checkout"' }).waitFor();
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Traces' }).click();
    await page.locator('.cm-content').filter({ hasText: 'resource.service.name = "checkout"' }).waitFor();
    await chips.getByRole('button', { name: 'Leave service checkout' }).click();
    await until('no chip', async () => (await chips.count()) === 0);
    await page.locator('#content').focus();
    await page.keyboard.press('z');
    await page.waitForURL(/from=now-30m/);
    await page.keyboard.press('{');
    await until('the range before', () => !page.url().includes('now-30m'));
    await page.keyboard.press('}');
    await page.waitForURL(/from=now-30m/);
    await page.keyboard.press('f');
    await page.waitForURL(/from=\d{13}&to=\d{13}|to=\d{13}/);
    tab.clean();
  });

  it('shows times in a named zone and shares absolute links', async () => {
    await page.goto('/logs');
    await page.locator('.logrow').first().waitFor();
    const hour = async () => Number((await page.locator('.logrow .t').first().innerText()).slice(0, 2));
    const before = await hour();
    await page.locator('#content').focus();
    await page.keyboard.press('t');
    await page.getByTestId('zone').focus();
    await page.getByTestId('zone').selectOption('Asia/Tokyo');
    await page.keyboard.press('Escape');
    await page.locator('.logrow').first().waitFor();
    const offset = (new Date().getTimezoneOffset() / 60 + 9 + 48) % 24;
    await until('times of Tokyo', async () => [(before + offset) % 24, (before + offset + 1) % 24].includes(await hour()));
    await page.evaluate(() => localStorage.removeItem('pharos.zone'));
    await page.getByRole('button', { name: 'Share' }).click();
    assert.match(await page.getByLabel('Link to this moment').inputValue(), /from=\d{13}&to=\d{13}/);
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press('Escape');
    tab.clean();
  });
});
