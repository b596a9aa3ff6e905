import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Writes a gzip copy beside every text file of the build, so that the server never compresses a static file itself. */
function precompress(): Plugin {
  let dir = 'dist';
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      dir = config.build.outDir;
    },
    closeBundle() {
      const walk = (d: string) => {
        for (const name of readdirSync(d)) {
          const file = join(d, name);
          if (statSync(file).isDirectory()) walk(file);
          else if (/\.(js|css|html|svg|json|txt)$/.test(name)) {
            const body = readFileSync(file);
            if (body.length >= 512) writeFileSync(`${file}.gz`, gzipSync(body, { level: 9 }));
          }
        }
      };
      walk(dir);
    },
  };
}

const backend = process.env['PHAROS_URL'] ?? 'http://127.0.0.1:4319';

export default defineConfig({
  plugins: [react(), precompress()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': backend,
      '/loki': { target: backend, ws: true },
    },
  },
  build: {
    target: 'es2022',
    sourcemap: false,
    manifest: true,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            // The languages stay apart: a page loads the one it speaks.
            { name: 'editor', test: /node_modules\/(@codemirror|@lezer|crelt|style-mod|w3c-keyname|@marijn)/ },
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
          ],
        },
      },
    },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.{ts,tsx}'],
  },
});
