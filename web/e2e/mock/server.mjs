// A stand-in for the server: serves dist and answers the APIs from data.mjs. Usage: node e2e/mock/server.mjs [port]
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hash, linesAt, metricsList, otlp, rng, routes, services, traceAt, traceIdAt, tracesBetween, wave } from './data.mjs';

const dist = join(fileURLToPath(new URL('.', import.meta.url)), '../../dist');
const started = Date.now();
let fault = false;

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

function groupsOf(expr) {
  const by = /by\s*\(([^)]*)\)/.exec(expr);
  const labels = by ? by[1].split(',').map((s) => s.trim()).filter((l) => l && l !== 'le') : undefined;
  const only = /(?:job|service_name)=~?"([^"]*)"/.exec(expr)?.[1]?.replace('(.+/)?', '');
  const svc = services.filter((s) => !only || only.split('|').includes(s));
  const full = svc.flatMap((s) => routes[s].map((r) => ({ job: s, http_route: r, http_request_method: 'GET' })));
  if (/^\s*[a-z_]+(\{[^}]*\})?\s*$/.test(expr)) return svc.map((s) => ({ __name__: expr.replace(/\{.*/, '').trim(), job: s, instance: `${s}-7d9f:8080` }));
  if (!labels) return /sum|avg|quantile/.test(expr) ? [{}] : full;
  const seen = new Map();
  for (const f of full) {
    const g = Object.fromEntries(labels.filter((l) => f[l]).map((l) => [l, f[l]]));
    seen.set(JSON.stringify(g), g);
  }
  return [...seen.values()];
}

function valueOf(expr, labels, t) {
  const k = JSON.stringify(labels);
  const w = wave(k + expr.replace(/\[.*?\]/g, '').slice(0, 40), t);
  if (/quantile/.test(expr)) return 0.02 + w * 0.3 * (labels.job === 'payment' ? 3 : 1);
  if (/5\.\./.test(expr)) return /\//.test(expr.replace(/"[^"]*"/g, '')) ? Math.max(0, w - 0.55) * (labels.job === 'payment' ? 0.3 : 0.02) : w;
  if (/bytes/.test(expr)) return 5e7 + w * 2e8;
  if (/_ratio/.test(expr)) return 0.9 + w * 0.1;
  return w * 40 * (1 + (hash(k) % 5));
}

function prom(path, q) {
  const ok = (data) => ({ status: 'success', data });
  const expr = q.get('query') ?? '';
  if (path === '/api/v1/query_range' || path === '/api/v1/query') {
    if ((expr.match(/\(/g) ?? []).length !== (expr.match(/\)/g) ?? []).length) return { code: 400, body: { status: 'error', errorType: 'bad_data', error: `invalid parameter "query": 1:${expr.length + 1}: parse error: unclosed left parenthesis` } };
    const stats = { samples: { totalQueryableSamples: 48211 } };
    if (/nothing/.test(expr)) return ok({ resultType: 'matrix', result: [], stats });
    const limit = Number(q.get('limit') || 1e9);
    const groups = groupsOf(expr).slice(0, limit);
    if (path === '/api/v1/query') {
      const t = Number(q.get('time') ?? Date.now() / 1000);
      return ok({ resultType: 'vector', result: groups.map((metric) => ({ metric, value: [t, String(valueOf(expr, metric, t))] })), stats });
    }
    const [start, end, step] = ['start', 'end', 'step'].map((k) => Number(q.get(k)));
    return ok({
      resultType: 'matrix',
      result: groups.map((metric) => {
        const values = [];
        for (let t = start; t <= Math.min(end, Date.now() / 1000); t += step) values.push([t, String(valueOf(expr, metric, t))]);
        return { metric, values };
      }),
      stats,
    });
  }
  if (path === '/api/v1/query_exemplars') {
    const start = Number(q.get('start')) * 1000;
    const end = Math.min(Number(q.get('end')) * 1000, Date.now());
    const ks = tracesBetween(start, end).filter((k) => k % 11 === 0).slice(-60);
    return ok([{ seriesLabels: { __name__: 'http_server_request_duration_seconds_bucket', job: 'frontend', http_route: '/checkout', le: '0.5' }, exemplars: ks.map((k) => { const t = traceAt(k); return { labels: { trace_id: t.id, span_id: t.spans[0].id }, value: String(t.total / 1000), timestamp: t.start / 1000 }; }) }]);
  }
  if (path === '/api/v1/metadata') return ok(Object.fromEntries(metricsList.map(([n, type, help]) => [n, [{ type, help, unit: '' }]])));
  if (path === '/api/v1/labels') return ok(['__name__', 'job', 'instance', 'http_route', 'http_request_method', 'http_response_status_code', 'le']);
  const m = /^\/api\/v1\/label\/([^/]+)\/values$/.exec(path);
  if (m?.[1] === '__name__') {
    const re = /=~"(.*)"\}$/.exec(q.get('match[]') ?? '');
    const names = metricsList.flatMap(([n, type]) => (type === 'histogram' ? [`${n}_bucket`, `${n}_count`, `${n}_sum`] : [n]));
    return ok(names.filter((n) => !re || new RegExp(re[1].replace('(?i)', ''), 'i').test(n)).sort());
  }
  if (m) return ok(m[1] === 'job' ? services : m[1] === 'http_route' ? Object.values(routes).flat() : ['a', 'b']);
  if (path === '/api/v1/series') return ok([]);
  return undefined;
}

function select(query) {
  const svc = [...query.matchAll(/service_name=~?"([^"]*)"/g)].at(-1)?.[1];
  const trace = /trace_id="([0-9a-f]+)"/.exec(query)?.[1];
  const span = /span_id="([0-9a-f]+)"/.exec(query)?.[1];
  const text = /\|= "([^"]*)"/.exec(query)?.[1];
  const level = /detected_level="(\w+)"/.exec(query)?.[1];
  return (l) => (!svc || svc === '.+' || l.stream.service_name === svc) && (!trace || l.meta.trace_id === trace) && (!span || l.meta.span_id === span) && (!text || l.line.includes(text)) && (!level || l.meta.detected_level === level);
}

const streamsOf = (lines) => lines.map((l) => ({ stream: l.stream, values: [[l.ns, l.line, { structuredMetadata: l.meta, ...(l.line.startsWith('{') ? {} : {}) }]] }));

function loki(path, q) {
  const query = q.get('query') ?? '';
  const start = Number((q.get('start') ?? '0').slice(0, -6));
  const end = Math.min(Number((q.get('end') ?? String(Date.now() * 1e6)).slice(0, -6)), Date.now());
  if (path === '/loki/api/v1/query_range') {
    if (!/\{.*\}/s.test(query)) return { code: 400, text: `parse error at line 1, col ${query.length + 1}: syntax error: unexpected $end` };
    const keep = select(query);
    const stats = { summary: { totalBytesProcessed: 1_843_200, totalLinesProcessed: 12_034, execTime: 0.021 } };
    if (/^\s*\w+.*\(/.test(query)) {
      const step = Number(q.get('step') ?? 10);
      const by = new Map();
      for (const k of tracesBetween(start, end)) for (const l of linesAt(k)) {
        if (!keep(l)) continue;
        const lv = l.meta.detected_level;
        const b = Math.ceil(l.ms / 1000 / step) * step;
        const m = by.get(lv) ?? by.set(lv, new Map()).get(lv);
        m.set(b, (m.get(b) ?? 0) + 1);
      }
      return { status: 'success', data: { resultType: 'matrix', result: [...by].map(([lv, m]) => ({ metric: { detected_level: lv }, values: [...m].map(([t, n]) => [t, String(n)]) })), stats } };
    }
    const limit = Number(q.get('limit') ?? 100);
    const out = [];
    const ks = tracesBetween(start - 3000, end);
    if (q.get('direction') !== 'forward') ks.reverse();
    for (const k of ks) {
      if (out.length >= limit) break;
      out.push(...linesAt(k).filter((l) => l.ms >= start && l.ms <= end && keep(l)));
    }
    return { status: 'success', data: { resultType: 'streams', encodingFlags: ['categorize-labels'], result: streamsOf(out.slice(0, limit)), stats } };
  }
  if (path === '/loki/api/v1/labels') return { status: 'success', data: ['deployment_environment_name', 'service_name', 'service_namespace'] };
  const m = /^\/loki\/api\/v1\/label\/([^/]+)\/values$/.exec(path);
  if (m) return { status: 'success', data: m[1] === 'service_name' ? services : ['demo'] };
  return undefined;
}

function tempo(path, q) {
  if (path === '/api/search') {
    const query = q.get('q') ?? '';
    if (!/^\s*\{.*\}/s.test(query) || /=\s*\}/.test(query)) return { code: 400, text: `invalid TraceQL query: parse error at line 1, col ${query.length + 1}: syntax error: unexpected $end` };
    const svc = /service\.name\s*=\s*"([^"]*)"/.exec(query)?.[1];
    const min = /duration\s*>=?\s*(\d+)ms/.exec(query)?.[1];
    const errorsOnly = /status\s*=\s*error/.test(query);
    const end = Math.min(Number(q.get('end')) * 1000, Date.now());
    const out = [];
    for (const k of tracesBetween(Number(q.get('start')) * 1000, end).reverse()) {
      if (out.length >= Number(q.get('limit') ?? 20)) break;
      const t = traceAt(k);
      if (svc && !t.spans.some((s) => s.service === svc)) continue;
      if (min && t.total < Number(min)) continue;
      if (errorsOnly && !t.bad) continue;
      const stats = {};
      for (const s of t.spans) {
        const x = (stats[s.service] ??= { spanCount: 0 });
        x.spanCount++;
        if (s.error) x.errorCount = (x.errorCount ?? 0) + 1;
      }
      out.push({ traceID: t.id.replace(/^0+/, ''), rootServiceName: 'frontend', rootTraceName: t.spans[0].name, startTimeUnixNano: String(BigInt(t.start) * 1000000n), durationMs: Math.round(t.total), spanSets: [{ spans: [], matched: t.spans.length }], serviceStats: stats });
    }
    return { traces: out, metrics: { inspectedBytes: '882311', inspectedTraces: out.length, completedJobs: 1, totalJobs: 1 } };
  }
  const m = /^\/api\/v2\/traces\/([0-9a-f]+)$/.exec(path);
  if (m) {
    const now = Date.now();
    const want = m[1].padStart(32, '0');
    for (let k = Math.floor(now / 2000); k > now / 2000 - 45_000; k--) if (traceIdAt(k) === want) return { trace: otlp(traceAt(k)), metrics: { inspectedBytes: '70036' } };
    return { trace: {}, metrics: {} };
  }
  if (path === '/api/v2/search/tags') return { scopes: [{ name: 'resource', tags: ['host.name', 'service.name', 'service.version'] }, { name: 'span', tags: ['db.system.name', 'http.route', 'http.response.status_code', 'user.id'] }, { name: 'intrinsic', tags: ['duration', 'name', 'status'] }], metrics: {} };
  const v = /^\/api\/v2\/search\/tag\/(.+)\/values$/.exec(path);
  if (v) {
    const tag = decodeURIComponent(v[1]);
    const list = /service\.name/.test(tag) ? services : tag === 'name' ? Object.values(routes).flat().map((r) => `GET ${r}`) : [];
    return { tagValues: list.map((value) => ({ type: 'string', value })), metrics: {} };
  }
  return undefined;
}

function native(path, method, body) {
  const up = (Date.now() - started) / 1000;
  const signal = (rate) => ({ received_total: Math.round(rate * (up + 600)), refused_total: 0, rate_per_second: rate * (0.95 + 0.1 * rng(Math.floor(up))()), last_received_unix_ms: Date.now() - 400, bytes_on_disk: Math.round(rate * 91_000) });
  if (path === '/api/pharos/v1/status') {
    const empty = process.env.MOCK_EMPTY === '1' ? { received_total: 0, refused_total: 0, rate_per_second: 0, last_received_unix_ms: 0, bytes_on_disk: 0 } : undefined;
    return { version: 'v0.1.0', uptime_seconds: up, tenant: 'default', demo: true, signals: { metrics: empty ?? signal(212), logs: empty ?? signal(31.5), traces: empty ?? signal(94) }, warnings: [] };
  }
  if (path === '/api/pharos/v1/demo/fault') {
    if (method === 'POST') fault = Boolean(JSON.parse(body || '{}').active);
    return { active: fault };
  }
  return undefined;
}

function file(res, path) {
  let f = join(dist, path);
  if (!existsSync(f) || path === '/') f = join(dist, 'index.html');
  res.writeHead(200, { 'Content-Type': types[extname(f)] ?? 'application/octet-stream', 'Content-Security-Policy': "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:" });
  createReadStream(f).pipe(res);
}

const server = createServer((req, res) => {
  const url = new URL(req.url, 'http://x');
  let body = '';
  req.on('data', (d) => (body += d));
  req.on('end', () => {
    const form = req.headers['content-type']?.includes('urlencoded') ? new URLSearchParams(body) : url.searchParams;
    const path = decodeURI(url.pathname);
    const out = native(path, req.method, body) ?? prom(path, form) ?? loki(path, form) ?? tempo(path, form);
    if (out === undefined) return file(res, path);
    res.writeHead(out.code ?? 200, { 'Content-Type': out.text ? 'text/plain' : 'application/json' });
    res.end(out.text ?? JSON.stringify(out.body ?? out));
  });
});

server.on('upgrade', (req, socket) => {
  const key = createHash('sha1').update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
  const q = new URL(req.url, 'http://x').searchParams;
  const keep = select(q.get('query') ?? '');
  let k = Math.floor(Date.now() / 2000) - 60;
  const send = () => {
    const lines = [];
    for (; k <= Date.now() / 2000; k++) lines.push(...linesAt(k).filter(keep));
    if (lines.length === 0) return;
    const text = Buffer.from(JSON.stringify({ streams: lines.map((l) => ({ stream: { ...l.stream, ...l.meta }, values: [[l.ns, l.line]] })) }));
    const head = text.length < 126 ? Buffer.from([0x81, text.length]) : text.length < 65536 ? Buffer.from([0x81, 126, text.length >> 8, text.length & 255]) : Buffer.concat([Buffer.from([0x81, 127, 0, 0, 0, 0]), Buffer.from(new Uint32Array([text.length]).buffer).reverse()]);
    socket.write(Buffer.concat([head, text]));
  };
  send();
  const timer = setInterval(send, 500);
  socket.on('close', () => clearInterval(timer));
  socket.on('error', () => clearInterval(timer));
  socket.on('data', (d) => (d[0] & 15) === 8 && socket.end());
});

const port = Number(process.argv[2] ?? process.env.PORT ?? 4390);
server.listen(port, '127.0.0.1', () => console.log(`mock server on http://127.0.0.1:${port}`));
