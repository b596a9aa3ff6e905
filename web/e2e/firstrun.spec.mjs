// The first minutes with an empty server: the lights turn green as data arrives.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inBrowser, shot, startServer } from './lib.mjs';

const skip = process.env.PHAROS_BIN ? false : 'needs PHAROS_BIN';

describe('the first run', { timeout: 180_000, skip }, () => {
  let server;
  let tab;
  inBrowser(() => startServer('serve'), (s) => ({ server, tab } = s));

  it('waits for data and turns green', async () => {
    const { page } = tab;
    await page.goto('/');
    const box = page.getByTestId('onboarding');
    await box.getByText('waiting… 0 received').nth(2).waitFor();
    await shot(page, 'first-run');

    const now = BigInt(Date.now()) * 1000000n;
    const res = await fetch(`${server.url}/v1/traces`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        resourceSpans: [
          {
            resource: { attributes: [{ key: 'service.name', value: { stringValue: 'hello' } }] },
            scopeSpans: [{ spans: [{ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', name: 'GET /', kind: 2, startTimeUnixNano: String(now - 5000000n), endTimeUnixNano: String(now) }] }],
          },
        ],
      }),
    });
    assert.equal(res.status, 200);
    await page.getByTestId('signal-traces').locator('.figure').filter({ hasText: /\d/ }).waitFor();
    const push = await fetch(`${server.url}/loki/api/v1/push`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ streams: [{ stream: { service_name: 'hello' }, values: [[String(now), 'hello from a test']] }] }),
    });
    assert.ok(push.status === 204 || push.status === 200, `push answered ${push.status}`);
    await page.locator('.sendmore summary').click();
    await box.locator('.light[data-on]').nth(1).waitFor();

    await page.goto('/trace/0af7651916cd43dd8448eb211c80319c');
    await page.locator('.wf-row').first().waitFor();
    await page.goto('/logs');
    await page.locator('.logrow').filter({ hasText: 'hello from a test' }).waitFor();
    assert.deepEqual(tab.problems(), []);
    assert.deepEqual(tab.foreign, []);
  });
});
