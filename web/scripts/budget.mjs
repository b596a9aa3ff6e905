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

// The pages are what the router imports. A page loads its chunk, what that imports, and what it loads on demand, but
// not the other pages.
const manifest = JSON.parse(readFileSync(join(dist, '.vite/manifest.json'), 'utf8'));
const router = readFileSync(join(dist, '../src/app/router.tsx'), 'utf8');
const pages = [...new Set([...router.matchAll(/import\('@\/(pages\/[^']+)'\)/g)].map((m) => `src/${m[1]}.tsx`))];
// Loaded when a panel or the dashboard's settings are edited, with the editors of the languages: pages of their own.
pages.push('src/pages/dashboards/panel-editor.tsx', 'src/pages/dashboards/settings.tsx');
const closure = (key, seen = new Set()) => {
  if (seen.has(key)) return seen;
  seen.add(key);
  const chunk = manifest[key];
  for (const k of [...(chunk.imports ?? []), ...(chunk.dynamicImports ?? [])]) if (!pages.includes(k) && k !== 'index.html') closure(k, seen);
  return seen;
};
const fonts = readdirSync(join(dist, 'assets')).filter((f) => f.endsWith('.woff2')).reduce((n, f) => n + statSync(join(dist, 'assets', f)).size, 0);

const rows = [['shell', shell, limits.shell]];
for (const p of pages) {
  if (!manifest[p]) throw new Error(`${p} is not a chunk of the build`);
  const files = new Set(named);
  for (const k of closure(p)) for (const f of [manifest[k].file, ...(manifest[k].css ?? [])]) files.add(f);
  rows.push([`route ${p.replace(/.*\/|\.tsx$/g, '')}`, [...files].reduce((n, f) => n + size(f), size('index.html')), limits.route]);
}
rows.push(['fonts', fonts, limits.fonts]);

let failed = 0;
for (const [name, bytes, limit] of rows) {
  const ok = kb(bytes) <= limit;
  if (!ok) failed++;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(18)} ${kb(bytes).toFixed(1).padStart(7)} kB of ${limit} kB`);
}
console.log(`${rows.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
