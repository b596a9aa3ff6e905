// Deterministic data for working on the interface without a server.

/** A small seeded generator (mulberry32). */
export function rng(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function hash(s) {
  let h = 2166136261;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 16777619);
  return h >>> 0;
}

export const services = ['frontend', 'checkout', 'cart', 'catalog', 'payment', 'shipping', 'inventory'];
export const routes = { frontend: ['/', '/product/{id}', '/cart', '/checkout'], checkout: ['/orders', '/orders/{id}'], cart: ['/cart/{user}', '/cart/{user}/items'], catalog: ['/products', '/products/{id}', '/search'], payment: ['/charge'], shipping: ['/quote', '/ship'], inventory: ['/stock/{sku}'] };

/** A smooth wave for a name at a time, between 0 and 1. */
export function wave(name, t) {
  const h = hash(name);
  const p = (h % 1000) / 1000;
  return 0.5 + 0.25 * Math.sin(t / 400 + p * 7) + 0.15 * Math.sin(t / 57 + p * 31) + 0.1 * (rng(h ^ Math.floor(t / 5))() - 0.5);
}

export const metricsList = [
  ['http_server_request_duration_seconds', 'histogram', 'Duration of HTTP server requests.'],
  ['http_client_request_duration_seconds', 'histogram', 'Duration of HTTP client requests.'],
  ['rpc_server_duration_milliseconds', 'histogram', 'Duration of inbound RPC.'],
  ['orders_total', 'counter', 'Orders placed.'],
  ['cart_items', 'gauge', 'Items in all open carts.'],
  ['payment_failures_total', 'counter', 'Payments that were refused.'],
  ['process_resident_memory_bytes', 'gauge', 'Resident memory size.'],
  ['process_cpu_seconds_total', 'counter', 'CPU time.'],
  ['queue_depth', 'gauge', 'Messages waiting in the queue.'],
  ['db_client_connections_usage', 'gauge', 'Connections in use.'],
  ['db_client_operation_duration_seconds', 'histogram', 'Duration of database calls.'],
  ['cache_hit_ratio', 'gauge', 'Share of reads answered by the cache.'],
];

const hex = (r, n) => Array.from({ length: n }, () => Math.floor(r() * 16).toString(16)).join('');
export const traceIdAt = (k) => hex(rng(hash(`trace${k}`)), 32);

/** One trace for index k; a trace starts every 2 s. */
export function traceAt(k) {
  const r = rng(hash(`t${k}`));
  const id = traceIdAt(k);
  const start = k * 2000 + Math.floor(r() * 900);
  const spans = [];
  const bad = r() < 0.12;
  const add = (service, name, kind, parent, from, dur, attrs = {}, extra = {}) => {
    const s = { id: hex(r, 16), service, name, kind, parent, from, dur, attrs, ...extra };
    spans.push(s);
    return s;
  };
  const slow = r() < 0.1 ? 6 : 1;
  const total = (60 + r() * 180) * slow;
  const route = routes.frontend[Math.floor(r() * 4)];
  const root = add('frontend', `GET ${route}`, 'SERVER', '', 0, total, { 'http.request.method': 'GET', 'http.route': route, 'http.response.status_code': bad ? 500 : 200, 'user.id': `u-${Math.floor(r() * 400)}` }, { error: bad });
  let at = 4;
  const n = 2 + Math.floor(r() * 3);
  for (let i = 0; i < n; i++) {
    const svc = services[1 + Math.floor(r() * 6)];
    const dur = Math.max(5, (total - at - 5) * (0.3 + r() * 0.5));
    const call = add('frontend', `HTTP GET ${svc}`, 'CLIENT', root.id, at, dur, { 'server.address': svc, 'http.request.method': 'GET' });
    const inner = add(svc, `GET ${routes[svc][0]}`, 'SERVER', call.id, at + 1, dur - 2, { 'http.route': routes[svc][0], 'http.response.status_code': bad && i === n - 1 ? 500 : 200 }, { error: bad && i === n - 1 });
    const q = dur * 0.5;
    add(svc, svc === 'cart' ? 'GET cart' : `SELECT ${svc}`, 'CLIENT', inner.id, at + 2, q, { 'db.system.name': svc === 'cart' ? 'redis' : 'postgresql', 'db.query.text': `SELECT * FROM ${svc} WHERE id = $1` }, bad && i === n - 1 ? { error: true, event: { name: 'exception', at: at + 1 + q, attrs: { 'exception.type': 'TimeoutError', 'exception.message': 'canceling statement due to statement timeout' } } } : {});
    if (r() < 0.5) add(svc, 'render', 'INTERNAL', inner.id, at + 2 + q, dur * 0.2);
    if (svc === 'checkout') {
      const pub = add(svc, 'orders publish', 'PRODUCER', inner.id, at + 2 + q, 3, { 'messaging.system': 'kafka', 'messaging.destination.name': 'orders' });
      add('shipping', 'orders process', 'CONSUMER', pub.id, at + dur + 8, 20 + r() * 30, { 'messaging.system': 'kafka' });
    }
    at += dur * 0.6;
  }
  return { id, start, total, spans, bad, route };
}

export function tracesBetween(fromMs, toMs) {
  const out = [];
  for (let k = Math.ceil(fromMs / 2000); k <= Math.floor(toMs / 2000); k++) out.push(k);
  return out;
}

const b64 = (h) => Buffer.from(h, 'hex').toString('base64');
const kv = (attrs) => Object.entries(attrs).map(([key, v]) => ({ key, value: typeof v === 'number' ? { intValue: String(v) } : { stringValue: v } }));

export function otlp(t) {
  const nano = (ms) => String(BigInt(Math.round((t.start + ms) * 1e3)) * 1000n);
  const by = new Map();
  for (const s of t.spans) by.set(s.service, [...(by.get(s.service) ?? []), s]);
  return {
    resourceSpans: [...by].map(([service, spans]) => ({
      resource: { attributes: kv({ 'service.name': service, 'service.version': '1.4.2', 'host.name': `${service}-7d9f` }) },
      scopeSpans: [
        {
          scope: { name: 'shop', version: '1.0.0' },
          spans: spans.map((s) => ({
            traceId: b64(t.id),
            spanId: b64(s.id),
            ...(s.parent ? { parentSpanId: b64(s.parent) } : {}),
            name: s.name,
            kind: `SPAN_KIND_${s.kind}`,
            startTimeUnixNano: nano(s.from),
            endTimeUnixNano: nano(s.from + s.dur),
            attributes: kv(s.attrs),
            ...(s.event ? { events: [{ timeUnixNano: nano(s.event.at), name: s.event.name, attributes: kv(s.event.attrs) }] } : {}),
            status: s.error ? { code: 'STATUS_CODE_ERROR', message: 'request failed' } : {},
          })),
        },
      ],
    })),
  };
}

const messages = {
  info: ['request completed', 'cache refreshed', 'order accepted', 'quote computed', 'session opened'],
  debug: ['query plan cached', 'retry budget 0.93', 'connection reused'],
  warn: ['slow query', 'retrying after timeout', 'stock is low'],
  error: ['payment refused by provider', 'canceling statement due to statement timeout', 'upstream returned 500'],
};

/** Lines of trace k: one to four. */
export function linesAt(k) {
  const t = traceAt(k);
  const r = rng(hash(`l${k}`));
  return t.spans
    .filter((s) => s.kind === 'SERVER' || s.error)
    .map((s, i) => {
      const x = r();
      const level = s.error ? 'error' : x < 0.08 ? 'warn' : x < 0.3 ? 'debug' : 'info';
      const msg = messages[level][Math.floor(r() * messages[level].length)];
      const ns = BigInt(Math.round((t.start + s.from + s.dur * 0.9) * 1e3)) * 1000n + BigInt(i);
      const line = s.service === 'cart' ? `level=${level} msg="${msg}" route="${s.name}" duration=${Math.round(s.dur)}ms user=u-${Math.floor(r() * 400)}` : JSON.stringify({ level, msg, route: s.name, duration_ms: Math.round(s.dur), status: s.error ? 500 : 200 });
      return { ns: String(ns), ms: Number(ns / 1000000n), line, stream: { service_name: s.service, service_namespace: 'shop', deployment_environment_name: 'demo' }, meta: { detected_level: level, trace_id: t.id, span_id: s.id } };
    });
}
