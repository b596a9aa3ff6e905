/** Dashboards that others wrote: none is refused, no panel has a type or feature that nothing is said about. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flat, layout } from './layout';
import { readDashboard } from './project';
import { report } from './support';
import { choose, readQuery } from './variables';
import type { Resolved } from './variables';

const here = new URL('./testdata/', import.meta.url).pathname;

function files(dir: string, depth = 4): string[] {
  if (!existsSync(dir) || depth === 0) return [];
  return readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(join(dir, e.name), depth - 1) : e.name.endsWith('.json') ? [join(dir, e.name)] : []));
}

/** The dashboards inside modules that bench/go.mod pins, where they have been downloaded. */
function pinned(): string[] {
  const bench = new URL('../../../bench/', import.meta.url).pathname;
  const go = spawnSync('go', ['list', '-m', '-f', '{{.Dir}}', 'github.com/VictoriaMetrics/VictoriaMetrics', 'github.com/VictoriaMetrics/VictoriaLogs'], { cwd: bench, encoding: 'utf8', env: { ...process.env, GOFLAGS: '-mod=mod', GOPROXY: 'off' } });
  return (go.stdout ?? '').split('\n').filter(Boolean).flatMap((d) => [...files(join(d, 'dashboards')), ...files(join(d, 'deployment'), 6).filter((f) => /dashboard/.test(f))]);
}

const shipped = files(new URL('../../../internal/dashboard/builtin/', import.meta.url).pathname);
const corpus = [...files(here), ...shipped, ...pinned()].filter((f) => /"(panels|rows)"\s*:/.test(readFileSync(f, 'utf8')) && !/vmui/.test(f));

describe('the corpus', () => {
  it('has dashboards', () => expect(corpus.length).toBeGreaterThanOrEqual(14));

  it.each(corpus.map((f) => [f.split('/').slice(-2).join('/'), f]))('%s is read, and every panel has a place', (_name, file) => {
    const d = readDashboard(JSON.parse(readFileSync(file, 'utf8')));
    const all = flat(d.panels);
    expect(all.length).toBeGreaterThan(0);
    expect(new Set(all.map((p) => p.id)).size).toBe(all.length);
    const variables: Resolved[] = d.variables.map((variable) => ({ variable, options: [], chosen: choose(variable, [], undefined), value: { values: ['x'], text: 'x', multi: false } }));
    const rows = all.filter((p) => p.type === 'row').map((p) => String(p.id));
    const open = layout(d.panels, variables, new Set(all.filter((p) => p.type === 'row' && p.collapsed).map((p) => String(p.id))));
    expect(open.map((p) => p.panel.id).sort()).toEqual(all.map((p) => p.id).sort());
    for (const p of open) {
      expect(p.grid.x + p.grid.w).toBeLessThanOrEqual(24);
      for (const o of open) if (o !== p) expect(p.grid.x < o.grid.x + o.grid.w && o.grid.x < p.grid.x + p.grid.w && p.grid.y < o.grid.y + o.grid.h && o.grid.y < p.grid.y + p.grid.h, `${p.panel.title} over ${o.panel.title}`).toBe(false);
    }
    expect(rows.length).toBe(open.filter((p) => p.panel.type === 'row').length);
    for (const v of d.variables) if (v.type === 'query') expect(readQuery(v)).toBeDefined();
  });

  it('is drawn as meant but for what no signal of ours can answer', () => {
    let panels = 0;
    let supported = 0;
    const left = new Map<string, number>();
    for (const f of corpus) {
      for (const p of report(readDashboard(JSON.parse(readFileSync(f, 'utf8')))).panels) {
        if (p.problems.some((x) => x.startsWith('data source'))) continue;
        panels++;
        if (p.problems.length === 0) supported++;
        for (const x of p.problems) left.set(x, (left.get(x) ?? 0) + 1);
      }
    }
    expect(supported / panels, JSON.stringify([...left])).toBeGreaterThanOrEqual(0.985);
  });

  it('has nothing unsupported in what Pharos ships', () => {
    expect(shipped.length).toBeGreaterThanOrEqual(8);
    for (const f of shipped) {
      const r = report(readDashboard(JSON.parse(readFileSync(f, 'utf8'))));
      expect([f, r.panels.flatMap((p) => p.problems), r.variables]).toEqual([f, [], []]);
    }
  });
});
