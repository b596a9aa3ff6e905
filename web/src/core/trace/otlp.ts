/** OTLP JSON as it arrives, with ids in hex or base64 and enums as names or numbers. */

export interface OtlpValue {
  stringValue?: string;
  intValue?: string | number;
  doubleValue?: number;
  boolValue?: boolean;
  bytesValue?: string;
  arrayValue?: { values?: OtlpValue[] };
  kvlistValue?: { values?: OtlpKeyValue[] };
}

export interface OtlpKeyValue {
  key: string;
  value?: OtlpValue;
}

export interface OtlpEvent {
  timeUnixNano?: string | number;
  name?: string;
  attributes?: OtlpKeyValue[];
}

export interface OtlpLink {
  traceId?: string;
  spanId?: string;
  attributes?: OtlpKeyValue[];
}

export interface OtlpSpan {
  traceId?: string;
  spanId?: string;
  parentSpanId?: string;
  name?: string;
  kind?: string | number;
  startTimeUnixNano?: string | number;
  endTimeUnixNano?: string | number;
  attributes?: OtlpKeyValue[];
  events?: OtlpEvent[];
  links?: OtlpLink[];
  status?: { code?: string | number; message?: string };
  traceState?: string;
}

export interface OtlpScopeSpans {
  scope?: { name?: string; version?: string };
  spans?: OtlpSpan[];
}

export interface OtlpResourceSpans {
  resource?: { attributes?: OtlpKeyValue[] };
  scopeSpans?: OtlpScopeSpans[];
}

export interface OtlpTrace {
  resourceSpans?: OtlpResourceSpans[];
  batches?: OtlpResourceSpans[];
}

// By hand and not with atob: a large trace has hundreds of thousands of ids.
const sextets = new Int8Array(128).fill(-1);
[...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].forEach((c, i) => (sextets[c.charCodeAt(0)] = i));
const bytes = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** Normalises an id of 8 or 16 bytes to lower-case hex, whichever way it was written. */
export function hexId(id: string | undefined): string {
  if (!id) return '';
  if (/^([0-9a-f]{16}|[0-9a-f]{32})$/i.test(id)) return id.toLowerCase();
  let out = '';
  let any = 0;
  let bits = 0;
  let n = 0;
  for (let i = 0; i < id.length; i++) {
    const c = id.charCodeAt(i);
    if (c === 61) break; // the padding
    const v = sextets[c];
    if (v === undefined || v < 0) return id;
    bits = ((bits << 6) | v) & 0xfff;
    n += 6;
    if (n >= 8) {
      n -= 8;
      const byte = (bits >> n) & 255;
      any |= byte;
      out += bytes[byte]!;
    }
  }
  return any === 0 ? '' : out;
}

/** An attribute value as text. */
export function valueText(v: OtlpValue | undefined): string {
  if (!v) return '';
  if (v.stringValue !== undefined) return v.stringValue;
  if (v.intValue !== undefined) return String(v.intValue);
  if (v.doubleValue !== undefined) return String(v.doubleValue);
  if (v.boolValue !== undefined) return String(v.boolValue);
  if (v.bytesValue !== undefined) return v.bytesValue;
  if (v.arrayValue) return `[${(v.arrayValue.values ?? []).map(valueText).join(', ')}]`;
  if (v.kvlistValue) return `{${(v.kvlistValue.values ?? []).map((kv) => `${kv.key}: ${valueText(kv.value)}`).join(', ')}}`;
  return '';
}

export function attribute(list: OtlpKeyValue[] | undefined, key: string): string | undefined {
  const kv = list?.find((a) => a.key === key);
  return kv ? valueText(kv.value) : undefined;
}

const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

export function kindName(k: string | number | undefined): string {
  if (typeof k === 'number') return kinds[k] ?? '';
  return k ? k.replace(/^SPAN_KIND_/, '').toLowerCase().replace('unspecified', '') : '';
}

export function isError(s: OtlpSpan['status']): boolean {
  return s?.code === 2 || s?.code === 'STATUS_CODE_ERROR';
}
