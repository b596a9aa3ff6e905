// What the browser tests share: a running server, a browser, and the checks that hold on every page.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const axeSource = readFileSync(fileURLToPath(new URL('../node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8');
const images = process.env.SCREENSHOTS ?? fileURLToPath(new URL('../test-results', import.meta.url));

/** Says loudly why nothing can run, or undefined. */
export function blocked() {
  if (!existsSync(chromiumPath)) return `no Chromium at ${chromiumPath}: run scripts/setup-chromium.sh`;
  if (!process.env.PHAROS_BIN && !process.env.BASE_URL) return 'set PHAROS_BIN to the binary, or BASE_URL to a running server';
  return undefined;
}

async function freePort() {
  return new Promise((resolve, reject) => {
    const s = createServer();
    s.once('error', reject);
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

/** Starts `pharos demo` or `pharos serve` on free ports and waits until it is ready. */
export async function startServer(command, { config } = {}) {
  if (command === 'demo' && process.env.BASE_URL) return { url: process.env.BASE_URL, stop: async () => {} };
  const data = mkdtempSync(join(tmpdir(), 'pharos-e2e-'));
  const [port, grpc, http] = [await freePort(), await freePort(), await freePort()];
  const file = join(data, 'pharos.yaml');
  if (config) writeFileSync(file, config);
  const child = spawn(process.env.PHAROS_BIN, [command, ...(config ? ['--config', file] : []), '--data', data, '--listen', `127.0.0.1:${port}`, '--otlp-grpc', `127.0.0.1:${grpc}`, '--otlp-http', `127.0.0.1:${http}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let exited;
  child.stdout.on('data', (d) => (output += d));
  child.stderr.on('data', (d) => (output += d));
  child.on('exit', (code, signal) => (exited = `exit ${code ?? signal}`));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    if (!exited) {
      child.kill('SIGTERM');
      await Promise.race([new Promise((r) => child.on('exit', r)), delay(8000).then(() => child.kill('SIGKILL'))]);
    }
    rmSync(data, { recursive: true, force: true });
  };
  const deadline = Date.now() + 60_000;
  for (;;) {
    if (exited) throw new Error(`pharos ${command} stopped (${exited}):\n${output.slice(-4000)}`);
    const ok = await fetch(`${url}/-/ready`).then((r) => r.ok, () => false);
    if (ok) return { url, stop, output: () => output };
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`pharos ${command} was not ready within a minute:\n${output.slice(-4000)}`);
    }
    await delay(150);
  }
}

/** A program of a Debian package: installed, or unpacked to where the compatibility tests keep theirs; undefined without one. */
export function debian(pkg, program) {
  const installed = join('/', program);
  if (existsSync(installed)) return installed;
  const dir = join(tmpdir(), `pharos-${pkg}`);
  const bin = join(dir, program);
  if (existsSync(bin)) return bin;
  mkdirSync(dir, { recursive: true });
  const run = (...args) => spawnSync(args[0], args.slice(1), { cwd: dir, encoding: 'utf8' }).status === 0;
  if (!run('apt-get', 'download', pkg) && !(process.getuid() === 0 && run('apt-get', 'update') && run('apt-get', 'download', pkg))) return undefined;
  const deb = readdirSync(dir).filter((f) => f.endsWith('.deb')).sort().pop();
  return deb && run('dpkg-deb', '-x', deb, '.') ? bin : undefined;
}

/** Starts a program that answers HTTP at a free port. */
export async function startExporter(bin, args) {
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(bin, args(address), { stdio: 'ignore' });
  await until(`${bin} answers`, () => fetch(`http://${address}/metrics`).then((r) => r.ok));
  return { address, stop: () => child.kill() };
}

/** The demo shop with all three signals up to this moment; one server for all files of a run. */
export async function demo() {
  const server = await startServer('demo');
  const json = (path) => fetch(server.url + path).then((r) => r.json());
  await until(
    'all three signals',
    async () => {
      const s = (await json('/api/pharos/v1/status')).signals;
      return ['metrics', 'logs', 'traces'].every((k) => s[k]?.received_total > 0);
    },
    60_000,
  );
  // The demo first sends the history of the last minutes; wait until it has reached the present.
  const lag = encodeURIComponent('time() - max(timestamp(http_server_request_duration_seconds_count))');
  await until(
    'metrics of this moment',
    async () => {
      const r = await json(`/api/v1/query?query=${lag}`);
      return Number(r.data?.result?.[0]?.value?.[1] ?? Infinity) < 20;
    },
    120_000,
  );
  return { ...server, json };
}

export const delay = (ms) => new Promise((r) => setTimeout(r, ms));

/** Asks until the answer is truthy. */
export async function until(what, fn, ms = 30_000) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const v = await fn();
      if (v) return v;
    } catch (err) {
      last = err;
    }
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms for ${what}${last ? `: ${last.message}` : ''}`);
    await delay(200);
  }
}

export async function openBrowser() {
  return chromium.launch({ executablePath: chromiumPath, args });
}

/** A page that remembers everything that went wrong on it. */
export async function openPage(browser, base, { theme = 'dark', width = 1440, height = 900 } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, baseURL: base, colorScheme: theme });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  const foreign = [];
  page.on('console', (m) => {
    if (m.type() === 'error') problems.push(`console: ${m.text()} ${m.location().url ?? ''}`);
  });
  page.on('pageerror', (e) => problems.push(`page error: ${e.message}`));
  page.on('request', (r) => {
    if (!r.url().startsWith(base) && !r.url().startsWith('data:') && !r.url().startsWith('blob:')) foreign.push(r.url());
  });
  /** Problems since the last call; the ones that a test provokes are taken out by pattern. */
  const since = (expected) => problems.splice(0).filter((p) => !expected || !expected.test(p));
  return {
    page,
    problems: since,
    foreign,
    /** What must hold at the end of every test. */
    clean(expected) {
      assert.deepEqual(since(expected), [], 'errors in the browser');
      assert.deepEqual(foreign, [], 'requests to other hosts');
    },
    close: () => context.close(),
  };
}

/** For the tests of a file: starts a server, hands it over with a browser and a page on it, and ends them after the last test. */
export function inBrowser(start, use) {
  let server;
  let browser;
  before(async () => {
    server = await start();
    browser = await openBrowser();
    const tab = await openPage(browser, server.url);
    use({ server, browser, tab, page: tab.page });
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
}

/** Serious accessibility violations as text. */
export async function axe(page) {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id}: ${v.help} (${v.nodes.length}) ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.any?.[0]?.message ?? ''}`).join(' | ')}`);
}

export async function shot(page, name) {
  mkdirSync(images, { recursive: true });
  // Two frames, so that what was just changed is painted.
  await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
  const path = join(images, `${name}.png`);
  await page.screenshot({ path });
  // For the documentation a palette is enough and a third of the size; without pngquant the picture stays as it is.
  if (process.env.SCREENSHOTS) spawnSync('pngquant', ['--force', '--ext', '.png', '--speed', '3', '128', path]);
}
