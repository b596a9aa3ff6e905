// Fails when the built interface is heavier than it may be. Sizes are of the gzip copies that the server sends.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const dist = join(fileURLToPath(new URL('.', import.meta.url)), '../dist');
const limits = { shell: 200, route: 400, fonts: 100 };

if (!existsSync(join(dist, 'index.html'))) {
  console.error('nothing is built yet: run npm run build');
  process.exit(1);
}
const html = readFileSync(join(dist, 'index.html'), 'utf8');
const size = (file) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
const kb = (n) => n / 1000;

// The shell is everything that index.html names; routes add what their chunk imports.
const named = [...html.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css))"/g)].map((m) => m[1]);
const shell = named.reduce((n, f) => n + size(f), size('index.html'));

const assets = readdirSync(join(dist, 'assets')).filter((f) => /\.(js|css)$/.test(f));
const isPage = (f) => /^(home|metrics|logs|traces|trace|services|service|map|admin|dashboards|dashboard)-.*\.js$/.test(f);
// What a page loads: its static imports and what they load on demand, but not the other pages.
const closure = (entry, seen = new Set()) => {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const text = readFileSync(join(dist, 'assets', entry), 'utf8');
  for (const m of text.matchAll(/(?:from\s*|import\s*\(?\s*)["'`]\.\/([^"'`]+\.js)["'`]/g)) if (!isPage(m[1])) closure(m[1], seen);
  return seen;
};
const fonts = readdirSync(join(dist, 'assets')).filter((f) => f.endsWith('.woff2')).reduce((n, f) => n + statSync(join(dist, 'assets', f)).size, 0);

const rows = [['shell', shell, limits.shell]];
const entries = assets.filter(isPage);
for (const e of entries) {
  const files = new Set([...closure(e)].map((f) => `assets/${f}`));
  const page = e.split('-')[0];
  for (const f of assets) if (f.endsWith('.css') && f.startsWith(`${page}-`)) files.add(`assets/${f}`);
  for (const f of named) files.add(f);
  rows.push([`route ${page}`, [...files].reduce((n, f) => n + size(f), size('index.html')), limits.route]);
}
rows.push(['fonts', fonts, limits.fonts]);

let failed = 0;
for (const [name, bytes, limit] of rows) {
  const ok = kb(bytes) <= limit;
  if (!ok) failed++;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(16)} ${kb(bytes).toFixed(1).padStart(7)} kB of ${limit} kB`);
}
console.log(`${rows.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
