// A dashboard with everything that the large public dashboards of hosts use, on a real node exporter that the server
// scrapes itself: nothing is blank, nothing is unsupported, and the values are those of this machine.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { axe, debian, inBrowser, shot, startExporter, startServer, until } from './lib.mjs';

const file = fileURLToPath(new URL('../src/grafana/testdata/linux-host-full.json', import.meta.url));
const bin = debian('prometheus-node-exporter', 'usr/bin/prometheus-node-exporter');
if (!bin) console.log("SKIPPED: cannot get Debian's package prometheus-node-exporter; dashboards of hosts are NOT tested by this run");

let node;
let server;
let tab;
let page;

const query = async (expr) => Number((await fetch(`${server.url}/api/v1/query?query=${encodeURIComponent(expr)}`).then((r) => r.json())).data.result[0]?.value[1]);
const panel = (title) => page.locator('[data-testid="panel"]').filter({ has: page.getByRole('heading', { name: title, exact: true }) });
const value = async (title) => {
  const text = await panel(title).locator('.g-body').innerText();
  const m = /(-?[\d.]+)\s*(TiB|GiB|MiB|KiB|B|%|weeks?|days?|hours?|mins?|min|s|h|d)?/.exec(text.replaceAll(',', ''));
  assert.ok(m, `${title}: ${text}`);
  const by = { TiB: 2 ** 40, GiB: 2 ** 30, MiB: 2 ** 20, KiB: 1024, week: 604800, day: 86400, d: 86400, hour: 3600, h: 3600, min: 60 };
  return Number(m[1]) * (by[(m[2] ?? '').replace(/s$/, '')] ?? by[m[2]] ?? 1);
};
const near = (a, b, share, what) => assert.ok(Math.abs(a - b) <= Math.abs(b) * share, `${what}: ${a}, not about ${b}`);

describe('the dashboard of a host', { timeout: 600_000, skip: !bin }, () => {
  inBrowser(
    async () => {
      node = await startExporter(bin, (address) => [`--web.listen-address=${address}`]);
      return startServer('serve', {
        config: `pipeline:
  receivers:
    prometheus:
      config:
        scrape_configs:
          - job_name: node
            scrape_interval: 1s
            static_configs: [{targets: ['${node.address}']}]
  exporters:
    pharos: {}
  service:
    pipelines:
      metrics: {receivers: [prometheus], exporters: [pharos]}
`,
      });
    },
    (s) => ({ server, tab, page } = s),
  );
  before(async () => {
    await until('twenty scrapes', async () => (await query('max(count_over_time(up{job="node"}[5m]))')) >= 20, 90_000);
    const res = await fetch(`${server.url}/api/dashboards/db`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: `{"dashboard":${readFileSync(file, 'utf8')},"overwrite":true}` });
    assert.equal(res.status, 200, await res.clone().text());
  });
  after(() => node?.stop());

  it('chooses job, host and instance from the data', async () => {
    await page.goto('/d/linux-host-full?from=now-2m&to=now&refresh=');
    await page.getByRole('button', { name: 'Job: node' }).waitFor();
    await page.getByRole('button', { name: `Instance: ${node.address}` }).waitFor();
    assert.equal(await page.getByTestId('var-diskdevices').count(), 0);
    await page.getByRole('link', { name: 'Source' }).waitFor();
    tab.clean();
  });

  it('shows the values of this machine', async () => {
    await page.goto('/d/linux-host-full?from=now-2m&to=now&refresh=');
    await until('values', async () => /\d/.test(await panel('Uptime').innerText()));
    assert.equal(await value('CPU Cores'), cpus().length);
    near(await value('RAM Total'), await query('node_memory_MemTotal_bytes'), 0.06, 'RAM Total');
    near(await value('RootFS Total'), await query('node_filesystem_size_bytes{mountpoint="/",fstype!="rootfs"}'), 0.06, 'RootFS Total');
    near(await value('Root FS Used'), await query('100 - 100 * node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes{mountpoint="/"}'), 0.05, 'Root FS Used');
    near(await value('Uptime'), await query('node_time_seconds - node_boot_time_seconds'), 0.1, 'Uptime');
    const busy = await value('CPU Busy');
    assert.ok(busy >= 0 && busy <= 100, `${busy}`);
    for (const t of ['Pressure', 'Sys Load', 'RAM Used', 'SWAP Used']) assert.notEqual((await panel(t).locator('.g-body').innerText()).trim(), '', t);
    // For a picture, lines and not points.
    if (process.env.SCREENSHOTS) {
      await until('two minutes of scrapes', async () => (await query('max(count_over_time(up{job="node"}[5m]))')) >= 115, 150_000);
      await page.reload();
    }
    await until('charts', async () => (await page.locator('[data-state="loading"]').count()) === 0);
    assert.deepEqual(await axe(page), []);
    await shot(page, 'dashboard-host');
    tab.clean();
  });

  it('draws every panel of every row; one is empty only where this machine has no such metric', async () => {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto('/d/linux-host-full?from=now-2m&to=now&refresh=');
    await page.getByTestId('panel').first().waitFor();
    // Open the folded rows from the last to the first, so that none moves before it is clicked.
    const rows = page.locator('.g-row button[aria-expanded="false"]');
    for (let i = (await rows.count()) - 1; i >= 0; i--) await rows.nth(i).click();
    const dashboard = JSON.parse(readFileSync(file, 'utf8'));
    const all = dashboard.panels.flatMap((p) => (p.type === 'row' ? p.panels : [p]));
    await until('all panels', async () => (await page.getByTestId('panel').count()) === all.length);
    const metrics = new Set([...(await (await fetch(`http://${node.address}/metrics`)).text()).matchAll(/^(\w+)[{ ]/gm)].map((m) => m[1]));
    const states = {};
    for (const p of all) {
      const el = page.locator(`[data-testid="panel"][data-panel="${p.id}"]`);
      await el.scrollIntoViewIfNeeded();
      await until(p.title, async () => (await el.getAttribute('data-state')) !== 'loading');
      const state = await el.getAttribute('data-state');
      states[state] = (states[state] ?? 0) + 1;
      assert.notEqual(state, 'error', `${p.title}: ${await el.innerText()}`);
      assert.equal(await el.getByTestId('unsupported').count(), 0, p.title);
      if (state === 'empty') {
        const asked = [...new Set(p.targets.flatMap((t) => t.expr.match(/\b(?:node|process)_\w+/g) ?? []))];
        assert.ok(asked.some((m) => !metrics.has(m)) || p.title === 'Speed', `${p.title} is empty although there are ${asked}`);
        await el.getByText(/No data in this time range/).waitFor();
        continue;
      }
      if (p.type !== 'timeseries') continue;
      // Something is painted, and the legend has values of the very series that were asked.
      assert.ok(await el.locator('canvas').first().evaluate((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x > 0)), `${p.title} is not painted`);
      assert.ok((await el.locator('.g-key').count()) > 0, `${p.title} has no legend`);
    }
    console.log(`${all.length} panels: ${JSON.stringify(states)}`);
    assert.ok(states.data >= 45, JSON.stringify(states));
    tab.clean();
  });

  it('means what its options say', async () => {
    // Names, units, colours and the table of the legend.
    const load = panel('System Load');
    await load.scrollIntoViewIfNeeded();
    await load.getByText('Load of a quarter of an hour').waitFor();
    const cell = load.locator('tbody tr', { hasText: 'Load 1m' }).locator('td').nth(2);
    near(Number(await cell.innerText()), await query('node_load1'), 0.6, 'last value of the load');
    const memory = panel('Memory Active / Inactive');
    await memory.scrollIntoViewIfNeeded();
    const active = await memory.locator('tbody tr', { hasText: /^Active/ }).locator('td').nth(2).innerText();
    assert.match(active, /(GiB|MiB)$/);
    near(parseFloat(active) * (active.endsWith('GiB') ? 2 ** 30 : 2 ** 20), await query('node_memory_Active_bytes'), 0.2, 'active memory');
    // Sent is drawn below the axis and still written as it is.
    const net = panel('Network Traffic');
    await net.scrollIntoViewIfNeeded();
    const sent = await net.locator('tbody tr', { hasText: '- Transmit' }).first().locator('td').nth(2).innerText();
    assert.doesNotMatch(sent, /^-/);
    assert.match(sent, /b\/s$/);
    // A second unit has its axis on the right.
    await panel('File Descriptor').scrollIntoViewIfNeeded();
    await panel('File Descriptor').locator('canvas').waitFor();
    tab.clean();
  });
});
