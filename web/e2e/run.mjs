// Runs the browser tests and ends with one plain line of counts.
import { readdirSync } from 'node:fs';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { blocked, startServer } from './lib.mjs';

const why = blocked();
if (why) {
  // A machine without a browser cannot run them; one without a binary is a mistake.
  const skip = why.startsWith('no Chromium') && !process.env.CI;
  console.log(`${skip ? 'SKIPPED' : 'FAILED'}: the browser tests did not run: ${why}`);
  console.log(skip ? '0 passed, 0 failed, all skipped' : '0 passed, 1 failed');
  process.exit(skip ? 0 : 1);
}

const here = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(here).filter((f) => f.endsWith('.spec.mjs')).sort().map((f) => here + f);
// One demo shop for all files: it takes seconds to fill.
const shop = await startServer('demo');
process.env.BASE_URL = shop.url;
let passed = 0;
let failed = 0;
const counts = (data) => data.details?.type !== 'suite' && !files.includes(data.name) && data.name !== data.file;
const stream = run({ files, concurrency: 1 });
stream.on('test:pass', (d) => counts(d) && !d.skip && passed++);
stream.on('test:fail', (d) => counts(d) && failed++);
stream.on('end', () => {
  setImmediate(async () => {
    await shop.stop();
    console.log(`${passed} passed, ${failed} failed`);
    process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
  });
});
stream.compose(new spec()).pipe(process.stdout);
