/** Which of Pharos' own signals answers a target, whatever data source the JSON names. */
import type { Annotation, Panel, SourceRef, Target, Variable } from './model';
import { obj, str } from './model';
import { interpolate } from './template';
import type { Values } from './template';

export type Source = 'prometheus' | 'loki' | 'tempo' | 'dashboard' | 'mixed' | 'grafana' | { unsupported: string };

const byType: [RegExp, Source][] = [
  [/^(prometheus|victoriametrics-metrics-datasource|victoriametrics-datasource|grafana-amazonprometheus-datasource|mimir|thanos|cortex)$/i, 'prometheus'],
  [/^loki$/i, 'loki'],
  [/^(tempo|jaeger|zipkin)$/i, 'tempo'],
];

/** Data sources that have no language of ours. */
const foreign = /(clickhouse|elasticsearch|opensearch|influx|mysql|postgres|mssql|graphite|cloudwatch|infinity|testdata|logs-datasource|stackdriver|azure|bigquery|zabbix|__expr__)/i;

export const sources: { uid: string; name: string; type: string }[] = [
  { uid: 'pharos-metrics', name: 'Pharos metrics', type: 'prometheus' },
  { uid: 'pharos-logs', name: 'Pharos logs', type: 'loki' },
  { uid: 'pharos-traces', name: 'Pharos traces', type: 'tempo' },
];

/** The data sources that a variable of a type offers: always one of ours. */
export function sourcesOfType(type: string): { uid: string; name: string }[] {
  const s = byType.find(([re]) => re.test(type))?.[1];
  return sources.filter((x) => x.type === s);
}

function byRef(ref: SourceRef | undefined, values: Values, variables: Variable[]): Source | undefined {
  if (!ref) return undefined;
  if (ref.uid === '-- Dashboard --') return 'dashboard';
  if (ref.uid === '-- Mixed --') return 'mixed';
  if (ref.uid === '-- Grafana --' || ref.uid === 'grafana') return 'grafana';
  if (ref.uid === '__expr__' || ref.type === '__expr__') return { unsupported: 'server-side expression' };
  if (ref.type) {
    const known = byType.find(([re]) => re.test(ref.type!))?.[1];
    if (known) return known;
    if (ref.type === 'datasource' && ref.uid) return byRef({ uid: ref.uid }, values, variables);
    if (foreign.test(ref.type)) return { unsupported: `data source ${ref.type}` };
  }
  const name = ref.uid ? interpolate(ref.uid, values, 'raw') : '';
  const own = sources.find((s) => s.uid === name || s.name === name);
  if (own) return own.type as Source;
  const m = /^\$\{?(\w+)\}?$/.exec(ref.uid ?? '');
  const v = m && variables.find((x) => x.name === m[1] && x.type === 'datasource');
  if (v) return byType.find(([re]) => re.test(String(v.query)))?.[1] ?? { unsupported: `data source ${String(v.query)}` };
  // A name says what it is more often than not.
  if (/loki/i.test(name)) return 'loki';
  if (/tempo|jaeger|zipkin/i.test(name)) return 'tempo';
  if (/prom|victoria.?metrics|mimir|thanos|metrics/i.test(name)) return 'prometheus';
  return undefined;
}

/** The signal for a target of a panel. */
export function sourceOf(t: Target, p: Panel, values: Values, variables: Variable[]): Source {
  const own = byRef(t.source, values, variables);
  if (own && own !== 'mixed') return own;
  const panel = byRef(p.source, values, variables);
  if (panel && panel !== 'mixed' && (panel === 'dashboard' || !own)) return panel;
  return guess(t, p);
}

/** Without any hint the query itself says what it is. */
function guess(t: Target, p: Panel): Source {
  const expr = str(t.raw['expr']) ?? '';
  const query = str(t.raw['query']) ?? '';
  if (t.raw['queryType'] === 'traceql' || t.raw['queryType'] === 'traceqlSearch' || p.type === 'traces') return 'tempo';
  if (/\}\s*(\|=|!=|\|~|!~|\|)\s*["`a-z_]/.test(expr) || (p.type === 'logs' && expr)) return 'loki';
  if (!expr && (t.raw['rawSql'] || t.raw['rawQuery'] || t.raw['measurement'])) return { unsupported: 'data source with SQL' };
  if (!expr && /^\s*\{.*\}/.test(query)) return 'tempo';
  return 'prometheus';
}

/** The signal that a variable's query asks. */
export function sourceOfVariable(v: Variable, values: Values, variables: Variable[]): Source {
  const s = byRef(v.source, values, variables);
  if (s && s !== 'mixed') return s;
  const q = obj(v.query);
  return typeof q['stream'] === 'string' && q['label'] !== undefined ? 'loki' : 'prometheus';
}

/** The signal that an annotation asks. */
export function sourceOfAnnotation(a: Annotation, values: Values, variables: Variable[]): 'prometheus' | 'loki' | 'tempo' | undefined {
  const s = byRef(a.source, values, variables) ?? 'prometheus';
  return s === 'prometheus' || s === 'loki' || s === 'tempo' ? s : undefined;
}
