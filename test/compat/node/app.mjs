// A small payment service and its client. It prints the trace ids of its requests as JSON.
import http from 'node:http';
import { trace } from '@opentelemetry/api';
import { logs, SeverityNumber } from '@opentelemetry/api-logs';
import { sdk } from './instrumentation.mjs';
import { processPayment } from './payment.mjs';

const logger = logs.getLogger('payment-service');
const traces = {};

const server = http.createServer(async (req, res) => {
  const amount = Number(new URL(req.url, 'http://localhost').searchParams.get('amount'));
  traces[amount] = trace.getActiveSpan()?.spanContext().traceId;
  try {
    const result = await processPayment(amount);
    logger.emit({ severityNumber: SeverityNumber.INFO, severityText: 'INFO', body: `charged ${amount}`, attributes: { 'payment.amount': amount } });
    res.end(JSON.stringify(result));
  } catch (error) {
    logger.emit({ severityNumber: SeverityNumber.ERROR, severityText: 'ERROR', body: `payment failed: ${error.message}` });
    res.statusCode = 500;
    res.end(error.message);
  }
});

await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();

function get(path) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path, agent: false }, (res) => {
      res.resume();
      res.on('end', () => resolve(res.statusCode));
    }).on('error', reject);
  });
}

const ok = await get('/pay?amount=42');
const failed = await get('/pay?amount=0');
await new Promise((resolve) => server.close(resolve));
await sdk.shutdown();
console.log(JSON.stringify({ ok, failed, traces }));
