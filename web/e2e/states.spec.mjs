// The four states of data on every page: loading keeps what was there, empty, partial and error are said plainly.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { axe, demo, inBrowser, until } from './lib.mjs';

let server;
let tab;
let page;

const q = (text) => encodeURIComponent(text);

describe('states', { timeout: 600_000 }, () => {
  inBrowser(demo, (s) => ({ server, tab, page } = s));

  const failing = [
    ['/explore/metrics?q=up', /\/api\/v1\/query_range/],
    ['/explore/metrics', /\/api\/v1\/label\//],
    ['/logs', /\/loki\/api\/v1\/query_range/],
    ['/logs?view=patterns', /\/loki\/api\/v1\/patterns/],
    ['/traces', /\/api\/search/],
    ['/traces?tab=compare', /\/traces\/explain/],
    ['/trace/0123456789abcdef0123456789abcdef', /\/api\/v2\/traces/],
    ['/services', /\/api\/v1\/query_range/],
    ['/services?view=map', /\/api\/v1\/query\?/],
    ['/services/checkout', /\/api\/v1\/query_range/],
    ['/', /\/api\/v1\/query_range/],
  ];
  it('an error names what failed and offers to try again', async () => {
    for (const [path, pattern] of failing) {
      await page.route(pattern, (route) => route.fulfill({ status: 503, json: { status: 'error', errorType: 'unavailable', error: 'too many queries wait; try again' } }));
      await page.goto(path);
      await page.locator('.errorbox').filter({ hasText: 'too many queries wait' }).first().waitFor();
      await page.unroute(pattern);
    }
    assert.deepEqual(await axe(page), []);
    assert.deepEqual(tab.problems(/503/), []);
  });

  it('an empty answer says what was searched and offers to look wider', async () => {
    const past = 'from=1500000000000&to=1500000900000';
    for (const [path, title] of [
      [`/explore/metrics?q=up&${past}`, 'No data points'],
      [`/explore/metrics?${past}`, 'No metrics in this time range'],
      [`/logs?${past}`, 'No lines'],
      [`/traces?${past}`, 'No traces'],
      [`/traces?tab=compare&${past}`, 'Nothing is selected'],
      [`/services?${past}`, 'No services in this time range'],
      [`/services?view=map&${past}`, 'No services in this time range'],
    ]) {
      await page.goto(path);
      await page.getByText(title).first().waitFor();
      await page.locator('.state button').first().waitFor();
    }
    assert.deepEqual(await axe(page), []);
    assert.deepEqual(tab.problems(), []);
  });

  it('a partial answer says what is missing', async () => {
    const warn = async (route) => {
      const res = await route.fetch();
      await route.fulfill({ response: res, json: { ...(await res.json()), warnings: ['one part could not be read'] } });
    };
    for (const [path, pattern] of [
      [`/explore/metrics?q=${q('sum(rate(http_server_request_duration_seconds_count[5m]))')}`, /\/api\/v1\/query_range/],
      ['/logs', /\/loki\/api\/v1\/query_range/],
    ]) {
      await page.route(pattern, warn);
      await page.goto(path);
      await page.locator('.notice').filter({ hasText: 'one part could not be read' }).first().waitFor();
      await page.unrouteAll({ behavior: 'ignoreErrors' });
    }
    const id = (await server.json(`/api/search?q=${q('{}')}&limit=1`)).traces[0].traceID.padStart(32, '0');
    await page.route(/\/api\/v2\/traces/, async (route) => {
      const res = await route.fetch();
      await route.fulfill({ response: res, json: { ...(await res.json()), status: 'PARTIAL', message: 'only the first spans were read' } });
    });
    await page.goto(`/trace/${id}`);
    await page.locator('.notice').filter({ hasText: 'only the first spans' }).waitFor();
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    assert.deepEqual(await axe(page), []);
    assert.deepEqual(tab.problems(), []);
  });

  it('loading keeps what was there, dimmed', async () => {
    await page.goto(`/explore/metrics?q=${q('sum(rate(http_server_request_duration_seconds_count[1m]))')}`);
    await page.getByTestId('legend').locator('tbody tr').first().waitFor();
    let release;
    const held = new Promise((r) => (release = r));
    await page.route(/\/api\/v1\/query_range/, async (route) => {
      await held;
      await route.continue();
    });
    await page.locator('#content').focus();
    await page.keyboard.press('z');
    await page.locator('.result-body .dim').waitFor();
    assert.equal(await page.getByTestId('chart').count(), 1);
    assert.equal(await page.getByText('No data points').count(), 0);
    release();
    await until('undimmed', async () => (await page.locator('.result-body .dim').count()) === 0);
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    assert.deepEqual(tab.problems(), []);
  });
});
