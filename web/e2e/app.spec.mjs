// Every page of the interface against the demo shop.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { axe, delay, demo, inBrowser, openPage, shot, until } from './lib.mjs';

let server;
let browser;
let tab;
let page;

const q = (text) => encodeURIComponent(text);
const p95 = 'histogram_quantile(0.95, sum by (le, job) (rate(http_server_request_duration_seconds_bucket[$__rate_interval])))';
const json = (path) => fetch(server.url + path).then((r) => r.json());

describe('the interface', { timeout: 900_000 }, () => {
  inBrowser(demo, (s) => ({ server, browser, tab, page } = s));

  it('is built into the binary', async () => {
    const html = await fetch(`${server.url}/`).then((r) => r.text());
    assert.match(html, /<div id="root">/, 'the binary carries the placeholder: build the interface first');
    const asset = /\/assets\/index-[^"]+\.js/.exec(html)[0];
    const res = await fetch(server.url + asset);
    assert.equal(res.status, 200);
    assert.match(res.headers.get('content-type'), /javascript/);
  });

  it('Home shows what arrives and how the services are', async () => {
    await page.goto('/');
    for (const id of ['metrics', 'logs', 'traces']) await page.getByTestId(`signal-${id}`).locator('.figure').filter({ hasText: /\d/ }).waitFor();
    await page.getByTestId('services').locator('tbody tr').first().waitFor();
    const rows = await page.getByTestId('services').locator('tbody tr').count();
    assert.ok(rows >= 4, `${rows} services in the table`);
    assert.equal(await page.getByTestId('chart').count(), 3);
    await page.getByTestId('services').locator('tbody tr td.r').filter({ hasText: '/s' }).first().waitFor();
    assert.deepEqual(await axe(page), []);
    // For the picture, let the strip collect some rates.
    if (process.env.SCREENSHOTS) await delay(30_000);
    await shot(page, 'home');
    tab.clean();
  });

  it('Home switches the fault', async () => {
    const button = page.getByTestId('fault');
    await button.click();
    await page.getByText('The fault is on.').waitFor();
    assert.equal((await json('/api/pharos/v1/demo/fault')).active, true);
    await button.click();
    await page.getByText('Demo shop.').waitFor();
    tab.clean();
  });

  it('Home shows how to send data', async () => {
    await page.locator('.sendmore summary').click();
    const box = page.getByTestId('onboarding');
    await box.locator('pre').filter({ hasText: server.url }).first().waitFor();
    assert.ok((await box.locator('.light[data-on]').count()) >= 3, 'all lights are green');
    for (const tabName of ['Prometheus', 'Loki']) {
      await box.getByRole('tab', { name: tabName }).click();
      await box.locator('pre').filter({ hasText: new URL(server.url).host }).first().waitFor();
    }
    tab.clean();
  });

  it('Metrics lists metrics as small charts and finds one', async () => {
    await page.goto('/explore/metrics');
    await page.getByTestId('metric-cards').locator('.card').nth(5).waitFor();
    await page.getByTestId('metric-cards').locator('.card svg path').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'metrics-browse');
    const input = page.getByRole('combobox', { name: 'Find a metric' });
    await input.fill('http server duration');
    await page.getByRole('option').filter({ hasText: 'http_server_request_duration_seconds' }).first().click();
    await page.getByTestId('chart').waitFor();
    assert.match(decodeURIComponent(page.url()).replaceAll('+', ' '), /histogram_quantile\(0\.95/);
    await page.getByTestId('legend').locator('tbody tr').first().waitFor();
    tab.clean();
  });

  it('Metrics draws series, isolates one and zooms', async () => {
    await page.goto(`/explore/metrics?q=${q(p95)}`);
    const rows = page.getByTestId('legend').locator('tbody tr');
    await rows.nth(2).waitFor();
    const total = await rows.count();
    await rows.first().locator('.series').click();
    assert.equal(await page.getByTestId('legend').locator('tr[data-off]').count(), total - 1);
    await rows.first().locator('.series').click();
    assert.equal(await page.getByTestId('legend').locator('tr[data-off]').count(), 0);
    assert.match(await page.getByTestId('cost').first().innerText(), /series[\s\S]*ms/);
    assert.deepEqual(await axe(page), []);
    await page.mouse.move(900, 330);
    await page.locator('.chart-tip:not([hidden])').waitFor();
    await shot(page, 'metrics');

    const box = await page.locator('.u-over').boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 70, { steps: 6 });
    await page.mouse.up();
    await page.waitForURL(/from=\d{13}&to=\d{13}/);
    await page.goBack();
    await page.waitForURL((u) => !u.searchParams.has('from'));
    await page.getByRole('tab', { name: 'Table' }).click();
    await page.getByRole('region', { name: 'Latest values' }).locator('tbody tr').first().waitFor();
    await page.getByRole('tab', { name: 'Raw' }).click();
    await page.getByRole('region', { name: 'Raw samples' }).waitFor();
    tab.clean();
  });

  it('Metrics shows the place of a mistake and an empty answer', async () => {
    await page.goto(`/explore/metrics?q=${q('sum(rate(up[5m])')}`);
    await page.locator('.errorbox .caret').waitFor();
    await page.goto(`/explore/metrics?q=${q('there_is_nothing_of_this_name')}`);
    await page.getByText('No data points').waitFor();
    tab.clean(/400 \(Bad Request\)/);
  });

  it('Logs shows volume, lines, details and context', async () => {
    await page.goto('/logs');
    const rows = page.locator('.logrow');
    await rows.nth(10).waitFor();
    await page.getByTestId('histogram').locator('rect').first().waitFor();
    assert.match(await page.getByTestId('cost').first().innerText(), /lines[\s\S]*ms/);
    assert.deepEqual(await axe(page), []);
    await shot(page, 'logs');
    await rows.nth(3).click();
    const drawer = page.getByTestId('log-details');
    await drawer.locator('.fieldrow').first().waitFor();
    await drawer.getByRole('button', { name: 'Context' }).click();
    await drawer.locator('.ctx[data-self]').waitFor();
    assert.ok((await drawer.locator('.ctx').count()) > 10, 'lines before and after');
    await shot(page, 'logs-details');
    await drawer.getByRole('button', { name: 'Context' }).click();
    const service = drawer.locator('.fieldrow').filter({ hasText: 'service_name' });
    await service.first().hover();
    await service.first().getByRole('button', { name: /^Only service_name/ }).click();
    await page.waitForURL(/service_name%3D%22|service_name="/);
    await until('one service only', async () => (await page.locator('.logrow .svc').count()) === 0);
    await page.keyboard.press('Escape');
    tab.clean();
  });

  it('Logs explains a query and shows its volume as a table', async () => {
    await page.goto('/logs?view=explain');
    await page.getByTestId('explain').locator('tbody tr').first().filter({ hasText: 'service_name' }).waitFor();
    await page.getByRole('region', { name: 'Volume by level' }).hover();
    await page.getByRole('button', { name: 'View as table' }).click();
    await page.getByRole('region', { name: /^Lines by level.* as a table$/ }).locator('tbody tr').nth(2).waitFor();
    assert.deepEqual(await axe(page), []);
    await page.goto(`/logs?q=${q('sum(rate({service_name=~".+"}[1m]))')}`);
    await page.getByRole('tab', { name: 'Explain' }).click();
    await page.getByTestId('explain').locator('tbody tr').first().waitFor();
    tab.clean();
  });

  it('Home lists the queries that were run last', async () => {
    await page.goto('/logs');
    await page.locator('.logrow').nth(3).waitFor();
    await page.getByTestId('run').click();
    await page.goto('/');
    await page.getByTestId('recent').getByRole('link', { name: /service_name/ }).first().click();
    await page.waitForURL(/\/logs\?/);
    await page.locator('.logrow').nth(3).waitFor();
    tab.clean();
  });

  it('Logs wraps, shows JSON, columns and metric queries', async () => {
    await page.goto('/logs?cols=service_name');
    await page.locator('.logrow .col').first().waitFor();
    await page.getByRole('button', { name: 'Wrap' }).click();
    await page.locator('.logrow[data-wrap]').first().waitFor();
    await page.getByRole('button', { name: 'JSON', exact: true }).click();
    await page.waitForURL(/v=json/);
    await page.goto(`/logs?q=${q('sum by (service_name) (count_over_time({service_name=~".+"}[1m]))')}`);
    await page.getByTestId('chart').waitFor();
    await page.getByTestId('legend').locator('tbody tr').nth(2).waitFor();
    await page.goto(`/logs?q=${q('{service_name="x" |= ')}`);
    await page.locator('.errorbox').waitFor();
    tab.clean(/400 \(Bad Request\)/);
  });

  it('Logs follows live, pauses and resumes', async () => {
    await page.goto('/logs');
    await page.locator('.logrow').first().waitFor();
    await page.getByTestId('live').click();
    const status = page.getByTestId('live-status');
    const received = async () => Number(/([\d,]+) received/.exec(await status.innerText())?.[1]?.replaceAll(',', '') ?? 0);
    await until('live lines', async () => (await received()) > 0);
    const first = await received();
    await until('more live lines', async () => (await received()) > first);
    await shot(page, 'logs-live');
    await status.getByRole('button', { name: 'Pause' }).click();
    await page.getByTestId('resume').waitFor();
    await until('new lines counted while paused', async () => /\d+ new/.test(await page.getByTestId('resume').innerText()));
    await page.getByTestId('resume').click();
    await until('resumed', async () => (await page.getByTestId('resume').count()) === 0);
    assert.match(await page.getByTestId('dropped').innerText(), /^0 dropped/);
    await page.getByTestId('live').click();
    tab.clean();
  });

  it('Traces shows points and a list, and narrows', async () => {
    await page.goto('/traces');
    const list = page.getByTestId('trace-list').locator('tbody tr');
    await list.nth(5).waitFor();
    assert.ok((await page.locator('.scatter .point').count()) > 5);
    assert.deepEqual(await axe(page), []);
    await shot(page, 'traces');
    await page.getByTestId('scatter').hover();
    await page.locator('.drawn').getByRole('button', { name: 'View as table' }).click();
    await page.getByRole('region', { name: 'Spans by time and duration as a table' }).locator('tbody tr').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await page.locator('.drawn').getByRole('button', { name: 'View as chart' }).click();
    const service = await list.first().locator('b').innerText();
    await page.getByTestId('service').selectOption(service);
    await page.waitForURL(/resource\.service\.name/);
    await list.first().waitFor();
    const box = await page.getByTestId('scatter').boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 12);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 20, box.y + box.height - 26, { steps: 6 });
    await page.mouse.up();
    await page.getByTestId('box').waitFor();
    await page.getByRole('button', { name: 'Narrow to them' }).click();
    await page.waitForURL(/traceDuration/);
    await until('an answer to the narrowed query', async () => (await page.locator('.errorbox').count()) === 0 && (await list.count()) > 0);
    await page.goto(`/traces?q=${q('{ status = }')}`);
    await page.locator('.errorbox .caret').waitFor();
    // The charts above the list ask for the same and are refused a moment later.
    await page.waitForLoadState('networkidle');
    tab.clean(/400 \(Bad Request\)/);
  });

  it('Trace shows the waterfall, finds and folds spans', async () => {
    await page.goto(`/traces?q=${q('{ status = error }')}&from=now-1h`);
    const list = page.getByTestId('trace-list').locator('tbody tr');
    await list.first().waitFor();
    await list.first().locator('a').click();
    const rows = page.locator('.wf-row');
    await rows.nth(2).waitFor();
    await page.locator('.wf-row:has(.errmark)').first().click();
    const drawer = page.getByTestId('span-drawer');
    await drawer.locator('.kv dt').first().waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'trace');
    await page.keyboard.press('Escape');
    await until('drawer closed', async () => (await drawer.count()) === 0);
    const open = await rows.count();
    await page.locator('.twist[aria-expanded="true"]').first().click();
    await until('folded', async () => (await rows.count()) < open);
    await page.locator('.twist[aria-expanded="false"]').first().click();
    await page.getByLabel('Find spans').fill('error');
    await page.locator('.wf-row[data-match]').first().waitFor();
    await page.getByLabel('Find spans').fill('');
    await page.getByRole('tab', { name: 'Spans table' }).click();
    await page.getByTestId('spans-table').locator('.st-row').nth(2).waitFor();
    await page.goto('/trace/0123456789abcdef0123456789abcdef');
    await page.getByText('There is no such trace').waitFor();
    tab.clean();
  });

  it('leads from a chart to a trace to its logs and back to metrics', async () => {
    await page.goto(`/explore/metrics?q=${q(p95)}&from=now-30m`);
    const diamond = page.locator('.exemplar').last();
    await diamond.waitFor({ state: 'attached' });
    await diamond.dispatchEvent('click');
    await page.getByRole('link', { name: 'Open trace' }).click();
    await page.waitForURL(/\/trace\/[0-9a-f]{32}/);
    const traceId = /\/trace\/([0-9a-f]{32})/.exec(page.url())[1];
    await page.locator('.wf-row').first().waitFor();
    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('button', { name: /^http_server_request_duration_seconds/ }).waitFor();

    await page.getByTestId('logs-for-trace').click();
    await page.waitForURL(/\/logs\?/);
    await page.locator('.logrow').first().waitFor();
    await page.locator('.logrow').first().click();
    const drawer = page.getByTestId('log-details');
    await drawer.getByTestId('open-trace').click();
    await page.waitForURL(new RegExp(`/trace/${traceId}`));
    const span = page.getByTestId('span-drawer');
    await span.waitFor();

    await span.getByTestId('metrics-for-service').click();
    await page.waitForURL(/\/explore\/metrics\?/);
    await page.locator('[data-testid="legend"] tbody tr, .card svg path').first().waitFor();

    await page.goBack();
    await page.waitForURL(new RegExp(`/trace/${traceId}`));
    await page.getByTestId('span-drawer').getByTestId('logs-for-span').click();
    await page.waitForURL(/span_id/);
    await page.locator('.logrow').first().waitFor();
    tab.clean();
  });

  it('Services lists services and their routes', async () => {
    await page.goto('/services');
    const rows = page.getByTestId('services').locator('tbody tr');
    await rows.nth(3).waitFor();
    assert.deepEqual(await axe(page), []);
    await shot(page, 'services');
    await rows.first().locator('a').first().click();
    await page.waitForURL(/\/services\/\w+/);
    await page.getByRole('heading', { name: 'Operations' }).waitFor();
    await shot(page, 'service');
    tab.clean();
  });

  it('obeys the keyboard and the time box', async () => {
    await page.goto('/');
    await page.getByTestId('services').waitFor();
    await page.locator('#content').focus();
    await page.keyboard.press('g');
    await page.keyboard.press('l');
    await page.waitForURL(/\/logs/);
    await page.keyboard.press('z');
    await page.waitForURL(/from=now-30m/);
    await page.keyboard.press('[');
    await page.waitForURL(/from=\d{13}/);
    await page.keyboard.press('t');
    await page.getByTestId('time-input').fill('1h');
    await page.keyboard.press('Enter');
    await page.waitForURL(/from=now-1h/);
    await page.locator('#content').focus();
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Search and jump' }).fill('traces');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/traces\?from=now-1h/);
    await page.getByTestId('trace-list').locator('tbody tr').first().waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/trace\//);
    tab.clean();
  });

  it('remembers the theme without a flash and is accessible in light', async () => {
    const light = await openPage(browser, server.url, { theme: 'light' });
    try {
      await light.page.goto('/');
      assert.equal(await light.page.evaluate(() => document.documentElement.dataset.theme), 'light');
      await light.page.getByTestId('services').locator('tbody tr').first().waitFor();
      assert.deepEqual(await axe(light.page), []);
      await shot(light.page, 'home-light');
      await light.page.goto('/logs');
      await light.page.locator('.logrow').nth(5).waitFor();
      assert.deepEqual(await axe(light.page), []);
      await shot(light.page, 'logs-light');
      for (const [name, path, what] of [
        ['metrics-light', `/explore/metrics?q=${q(p95)}`, '[data-testid="legend"] tbody tr'],
        ['traces-light', '/traces', '[data-testid="trace-list"] tbody tr'],
        ['services-light', '/services', '[data-testid="services"] tbody tr'],
        ['services-map-light', '/services?view=map', '.gnode'],
        ['service-light', '/services/checkout', '[data-testid="top-errors"] tbody tr'],
        ['admin-light', '/admin', '[data-testid="cardinality"] tbody tr'],
        ['admin-status-light', '/admin?tab=status', '[data-testid="config"]'],
      ]) {
        await light.page.goto(path);
        await light.page.locator(what).first().waitFor();
        assert.deepEqual(await axe(light.page), [], name);
        await shot(light.page, name);
      }
      await light.page.getByRole('button', { name: 'Theme' }).click();
      await light.page.getByRole('button', { name: 'Dark' }).click();
      await light.page.reload({ waitUntil: 'commit' });
      await until('the stored theme', () => light.page.evaluate(() => document.documentElement.dataset.theme === 'dark'));
      assert.deepEqual(light.problems(), []);
    } finally {
      await light.close();
    }
  });

  it('shares an address that is too long as a short link', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const query = `{service_name="checkout"} != "${'x'.repeat(4500)}"`;
    await page.goto(`/logs?q=${q(query)}&from=now-15m&to=now`);
    await page.getByTestId('logline').or(page.locator('.logrow')).first().waitFor();
    await page.getByRole('button', { name: 'Share' }).click();
    await page.getByText('The copy is a short link').first().waitFor();
    await page.getByRole('button', { name: 'Copy', exact: true }).first().click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(link, /\/goto\/[a-z0-9]{14}$/);
    await page.goto(link);
    await page.waitForURL(/\/logs\?/);
    assert.equal(new URL(page.url()).searchParams.get('q'), query);
    assert.match(new URL(page.url()).searchParams.get('from'), /^\d+$/);
    tab.clean();
  });

  it('cuts off no column on a small screen', async () => {
    const small = await openPage(browser, server.url, { width: 768, height: 1000 });
    for (const [path, rows] of [['/traces?from=now-15m&to=now', 'trace-list'], ['/admin?tab=queries', 'costly']]) {
      await small.page.goto(path);
      const table = small.page.getByTestId(rows);
      await table.locator('tbody tr').first().waitFor();
      const room = await table.evaluate((t) => t.closest('.panel').getBoundingClientRect().right - t.getBoundingClientRect().right);
      assert.ok(room >= 0, `${path}: the table is ${-room} px wider than its panel`);
    }
    small.clean();
    await small.close();
  });

  it('answers unknown addresses with a page', async () => {
    await page.goto('/nothing/here');
    await page.getByText('There is no such page').waitFor();
    tab.clean();
  });
});
