// The second snippet as it is, but for the import of SpanStatusCode that it leaves out and
// a chargeCard to call.
import { trace, SpanStatusCode } from '@opentelemetry/api';

const tracer = trace.getTracer('payment-service');

async function chargeCard(amount) {
  await new Promise((resolve) => setTimeout(resolve, 5));
  if (amount <= 0) {
    throw new Error('card declined');
  }
  return { charged: amount };
}

export async function processPayment(amount) {
  const span = tracer.startSpan('process_payment');
  span.setAttributes({
    'payment.amount': amount,
    'payment.currency': 'USD'
  });
  
  try {
    // Business logic
    const result = await chargeCard(amount);
    span.setStatus({ code: SpanStatusCode.OK });
    return result;
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    throw error;
  } finally {
    span.end();
  }
}
