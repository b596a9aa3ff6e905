// Large data and the budget of the first chart. Times are printed; what is asserted has room for a busy machine.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inBrowser, openPage, startServer, until } from './lib.mjs';

let server;
let browser;
let tab;
let page;

const q = (text) => encodeURIComponent(text);
const json = (path) => fetch(server.url + path).then((r) => r.json());
const post = async (path, body) => {
  const res = await fetch(server.url + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(res.ok, `${path}: ${res.status} ${res.ok ? '' : await res.text()}`);
};
const hex = (n, width) => n.toString(16).padStart(width, '0');
const resource = (service) => ({ attributes: [{ key: 'service.name', value: { stringValue: service } }] });

/** Seconds of main-thread work since the page was opened, and the megabytes of its heap. */
async function costs(session) {
  const { metrics } = await session.send('Performance.getMetrics');
  const get = (name) => metrics.find((m) => m.name === name).value;
  return { seconds: get('TaskDuration'), heap: get('JSHeapUsedSize') / 1e6 };
}

async function profiled() {
  const fresh = await openPage(browser, server.url);
  const session = await fresh.page.context().newCDPSession(fresh.page);
  await session.send('Performance.enable');
  return { ...fresh, costs: () => costs(session) };
}

/** What the frames of a page took, in milliseconds, while `act` ran, and its longest block of work. */
async function smoothness(p, act) {
  await p.evaluate(() => {
    const w = (globalThis.__frames = { deltas: [], longest: 0, on: true });
    new PerformanceObserver((list) => list.getEntries().forEach((e) => (w.longest = Math.max(w.longest, e.duration)))).observe({ type: 'longtask' });
    let last = performance.now();
    const tick = (t) => {
      w.deltas.push(t - last);
      last = t;
      if (w.on) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  await act();
  return p.evaluate(() => {
    const w = globalThis.__frames;
    w.on = false;
    const sorted = w.deltas.slice(1).sort((a, b) => a - b);
    return { frames: sorted.length, median: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0), p95: Math.round(sorted[Math.floor(sorted.length * 0.95)] ?? 0), longest: Math.round(w.longest) };
  });
}

describe('large data', { timeout: 600_000 }, () => {
  const now = Date.now();
  inBrowser(() => startServer('serve'), (s) => ({ server, browser, tab, page } = s));

  it('the first chart costs little', async () => {
    const metrics = Array.from({ length: 20 }, (_, s) => ({
      name: 'first_chart',
      gauge: { dataPoints: Array.from({ length: 60 }, (_, i) => ({ timeUnixNano: `${now - i * 15_000}000000`, asDouble: s + Math.sin(i), attributes: [{ key: 'series', value: { stringValue: `s${s}` } }] })) },
    }));
    await post('/v1/metrics', { resourceMetrics: [{ resource: resource('budget'), scopeMetrics: [{ metrics }] }] });
    await until('its series', async () => (await json(`/api/v1/query?query=${q('count(first_chart)')}`)).data.result.length > 0);
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const fresh = await profiled();
      await fresh.page.goto(`/explore/metrics?q=first_chart&from=now-15m&to=now`);
      await fresh.page.locator('.u-over').waitFor();
      const { seconds, heap } = await fresh.costs();
      if (seconds < best) {
        const paint = await fresh.page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0);
        console.log(`first chart: ${seconds.toFixed(2)} s of the main thread, first paint after ${Math.round(paint)} ms, ${Math.round(heap)} MB`);
      }
      best = Math.min(best, seconds);
      await fresh.close();
    }
    assert.ok(best <= 0.9, `${best} s of main-thread work`);
  });

  it('typing a query is painted at once', async () => {
    await page.goto('/explore/metrics?q=first_chart&from=now-15m&to=now');
    await page.locator('.u-over').waitFor();
    const editor = page.locator('.cm-content').first();
    await editor.click();
    await page.evaluate(() => {
      globalThis.__inputs = [];
      new PerformanceObserver((list) => list.getEntries().forEach((e) => e.name === 'keydown' && globalThis.__inputs.push(e.duration))).observe({ type: 'event', durationThreshold: 16 });
    });
    await page.keyboard.type(' + on (series) group_left sum(first_chart)', { delay: 40 });
    const inputs = (await page.evaluate(() => globalThis.__inputs)).sort((a, b) => a - b);
    console.log(`from key to paint: median ${inputs[Math.floor(inputs.length / 2)] ?? '< 16'} ms, p95 ${inputs[Math.floor(inputs.length * 0.95)] ?? '< 16'} ms of ${inputs.length} keys over 16 ms`);
    await page.keyboard.press('Escape');
    tab.clean(/status of 400/);
  });

  it('a dashboard of 40 panels is drawn', async () => {
    const panels = Array.from({ length: 40 }, (_, i) => ({ id: i + 1, type: ['timeseries', 'stat', 'timeseries', 'table'][i % 4], title: `Panel ${i}`, gridPos: { x: (i % 4) * 6, y: Math.floor(i / 4) * 6, w: 6, h: 6 }, targets: [{ refId: 'A', expr: `first_chart * ${i + 1}`, legendFormat: '{{series}}' }] }));
    await post('/api/dashboards/db', { dashboard: { uid: 'forty', title: 'Forty', panels }, overwrite: true });
    const fresh = await profiled();
    // High enough for all of them: only what is seen is asked.
    await fresh.page.setViewportSize({ width: 1440, height: 2700 });
    const started = Date.now();
    await fresh.page.goto('/d/forty?from=now-15m&to=now');
    await until('all panels', async () => (await fresh.page.locator('[data-testid="panel"][data-state="data"]').count()) === 40);
    await fresh.page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
    const took = Date.now() - started;
    const { seconds, heap } = await fresh.costs();
    console.log(`40 panels of 20 series after ${took} ms, ${seconds.toFixed(2)} s of the main thread, ${Math.round(heap)} MB`);
    assert.equal(await fresh.page.locator('[data-testid="panel"] canvas').count() >= 20, true);
    assert.ok(heap < 150, `${heap} MB`);
    fresh.clean();
    await fresh.close();
  });

  it('a trace of 100,000 spans scrolls', async () => {
    const traceId = hex(0xbeef, 32);
    const total = 100_000;
    const per = 5000;
    for (let from = 0; from < total; from += per) {
      const spans = [];
      for (let i = from; i < from + per; i++) {
        const start = BigInt(now) * 1_000_000n + BigInt(i) * 10_000n;
        const length = i === 0 ? 1_100_000_000n : BigInt(((i % 7) + 1) * 1_000_000);
        spans.push({ traceId, spanId: hex(i + 1, 16), ...(i > 0 ? { parentSpanId: hex(Math.floor((i - 1) / 8) + 1, 16) } : {}), name: `op ${i % 50}`, kind: (i % 5) + 1, startTimeUnixNano: String(start), endTimeUnixNano: String(start + length) });
      }
      await post('/v1/traces', { resourceSpans: [{ resource: resource(`svc-${(from / per) % 10}`), scopeSpans: [{ spans }] }] });
    }
    const started = Date.now();
    await page.goto(`/trace/${traceId}`);
    await page.locator('.wf-row').nth(10).waitFor({ timeout: 60_000 });
    console.log(`100,000 spans on the screen after ${Date.now() - started} ms`);
    await page.getByText('100,000 spans').waitFor();
    const list = page.getByTestId('waterfall');
    assert.ok((await page.locator('.wf-row').count()) < 100, 'rows are virtual');
    const first = await page.locator('.wf-row').first().innerText();
    await list.evaluate((el) => (el.scrollTop = el.scrollHeight));
    await until('the last rows', async () => (await page.locator('.wf-row').first().innerText()) !== first);
    assert.ok((await page.locator('.wf-row').count()) < 100, 'rows are virtual at the end too');
    await page.getByRole('tab', { name: 'Flame' }).click();
    await page.locator('.flamebox').nth(3).waitFor();
    assert.ok((await page.locator('.flamebox').count()) < 5000, 'boxes too thin to see are not drawn');
    assert.deepEqual(tab.problems(), []);
  });

  it('10,000 series are capped, and drawn when asked', async () => {
    for (let from = 0; from < 10_000; from += 2500) {
      const points = [];
      for (let s = from; s < from + 2500; s++) for (let i = 0; i < 4; i++) points.push({ timeUnixNano: `${now - i * 15_000}000000`, asDouble: s + i, attributes: [{ key: 'series', value: { stringValue: `s${s}` } }] });
      await post('/v1/metrics', { resourceMetrics: [{ resource: resource('many'), scopeMetrics: [{ metrics: [{ name: 'many_series', gauge: { dataPoints: points } }] }] }] });
    }
    await until('all series', async () => Number((await json(`/api/v1/query?query=${q('count(many_series)')}`)).data.result[0]?.value[1]) === 10_000);
    let started = Date.now();
    await page.goto('/explore/metrics?q=many_series&from=now-15m&to=now');
    await page.locator('.u-over').waitFor();
    console.log(`200 of 10,000 series drawn after ${Date.now() - started} ms`);
    await page.getByText(/200.*series are drawn/).waitFor();
    started = Date.now();
    await page.getByRole('button', { name: 'Draw all' }).click();
    await page.getByText('10,000 series').first().waitFor({ timeout: 60_000 });
    const heap = await page.evaluate(() => performance.memory.usedJSHeapSize / 1e6);
    console.log(`10,000 series drawn after ${Date.now() - started} ms, ${Math.round(heap)} MB`);
    assert.ok(heap < 500, `${heap} MB`);
    assert.ok((await page.getByTestId('legend').locator('tbody tr').count()) < 1000, 'the legend is not 10,000 rows');
    assert.deepEqual(tab.problems(), []);
  });

  it('100,000 lines are paged and scroll', async () => {
    for (let from = 0; from < 100_000; from += 10_000) {
      const values = Array.from({ length: 10_000 }, (_, k) => [String(BigInt(now) * 1_000_000n - BigInt(from + k) * 1_000_000n), `line ${from + k} level=info user=${k % 100} took ${k % 977} ms`]);
      await post('/loki/api/v1/push', { streams: [{ stream: { service_name: 'many' }, values }] });
    }
    await page.goto(`/logs?q=${q('{service_name="many"}')}&from=now-15m&to=now`);
    await page.locator('.logrow').nth(5).waitFor();
    const list = page.getByTestId('log-list');
    const more = async (name) => {
      await list.evaluate((el) => (el.scrollTop = el.scrollHeight));
      await page.getByRole('button', { name }).click();
    };
    await more('Show 5,000');
    await page.getByText(/^5,000 of/).waitFor();
    const started = Date.now();
    for (let n = 10_000; n <= 100_000; n += 5000) {
      await more('Load 5,000 older');
      // Lines of the millisecond at the edge are asked twice and counted once.
      await until(`about ${n} lines`, async () => Number(/^([\d,]+) of/.exec(await page.getByTestId('cost').last().innerText())?.[1].replaceAll(',', '')) >= n - 100);
    }
    const heap = await page.evaluate(() => performance.memory.usedJSHeapSize / 1e6);
    console.log(`100,000 lines in 20 pages after ${Date.now() - started} ms, ${Math.round(heap)} MB`);
    await list.evaluate((el) => (el.scrollTop = el.scrollHeight));
    await page.locator('.logrow').filter({ hasText: /line 99\d{3} / }).first().waitFor();
    assert.ok((await page.locator('.logrow').count()) < 120, 'rows are virtual');
    const s = await smoothness(page, () => list.evaluate(async (el) => {
      for (let i = 0; i < 120; i++) {
        el.scrollTop = el.scrollHeight - i * 400;
        await new Promise(requestAnimationFrame);
      }
    }));
    console.log(`scrolling 100,000 lines: ${s.median} ms a frame, p95 ${s.p95} ms, longest task ${s.longest} ms`);
    assert.ok(heap < 500, `${heap} MB`);
    assert.deepEqual(tab.problems(), []);
  });

  it('live tail of 1,000 lines a second keeps up', async () => {
    await page.goto(`/logs?q=${q('{service_name="tail"}')}&from=now-15m&to=now&live=1`);
    await page.getByTestId('log-list').or(page.getByText('Waiting')).first().waitFor();
    let sent = 0;
    const s = await smoothness(page, async () => {
      for (let tenth = 0; tenth < 80; tenth++) {
        const at = BigInt(Date.now()) * 1_000_000n;
        await post('/loki/api/v1/push', { streams: [{ stream: { service_name: 'tail' }, values: Array.from({ length: 100 }, (_, k) => [String(at + BigInt(k) * 1000n), `tail ${sent + k} level=info`]) }] });
        sent += 100;
        await new Promise((r) => setTimeout(r, 100));
      }
    });
    await page.locator('.logrow').filter({ hasText: /tail 7\d{3} / }).first().waitFor();
    console.log(`live tail: ${sent} lines, ${s.median} ms a frame, p95 ${s.p95} ms, longest task ${s.longest} ms`);
    assert.ok((await page.locator('.logrow').count()) < 200, 'rows are virtual');
    tab.clean();
  });
});
