/** Metrics: find, ask, see, follow. */
import './metrics.css';
import { useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useServiceLabel } from '@/app/queries';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import { contextMetrics, contextOf } from '@/core/context/context';
import { rememberQuery } from '@/core/recent';
import { addMatcher, defaultQuery, metricOf } from '@/core/metrics/promql';
import type { Metric } from '@/core/metrics/promql';
import { parseDuration } from '@/core/time/parse';
import { all, one } from '@/core/url/search';
import { Browse } from './browse';
import { Editors, letter } from './editors';
import type { RowOptions } from './editors';
import { LabelChips } from './filters';
import { Results } from './results';
import { MetricSearch, useMetricList } from './search';

export default function MetricsPage(): JSX.Element {
  const { search, set } = useUrl();
  const { refresh } = useTime();
  const run = useMemo(() => all(search['q']).filter((q) => q.trim() !== ''), [search['q']]);
  const [drafts, setDrafts] = useState<string[]>(run.length > 0 ? run : ['']);
  const [errors, setErrors] = useState<unknown[]>([]);
  useEffect(() => setDrafts(run.length > 0 ? run : ['']), [run]);
  useNamedMetric(one(search['m']));
  const options = useRowOptions(run.length);

  const label = useServiceLabel();
  const match = one(search['match']) ?? contextMetrics(contextOf(search), label) ?? '';

  const commit = (list: string[]) => {
    const next = list.filter((q) => q.trim() !== '');
    for (const q of next) rememberQuery('/explore/metrics', q);
    if (next.length === run.length && next.every((q, i) => q === run[i])) refresh();
    else set({ q: next, m: undefined, ...(next.length < run.length ? { hide: undefined } : {}) });
  };
  const replace = (i: number, text: string) => drafts.map((d, k) => (k === i ? text : d));
  const choose = (m: Metric) => {
    const list = drafts.length === 1 || drafts[drafts.length - 1] === '' ? replace(drafts.length - 1, defaultQuery(m, match)) : [...drafts, defaultQuery(m, match)];
    setDrafts(list);
    commit(list);
  };
  const metric = metricOf(run[0] ?? '');
  return (
    <div className="page">
      <div className="row">
        <MetricSearch onChoose={choose} />
        {metric && (
          <LabelChips
            metric={metric}
            onPick={(label, value) => {
              const list = drafts.map((d) => addMatcher(d, metric, label, value));
              setDrafts(list);
              commit(list);
            }}
          />
        )}
      </div>
      <Editors drafts={drafts} errors={errors} setDrafts={setDrafts} commit={commit} {...options} />
      {run.length === 0 ? <Browse onChoose={choose} matchers={match} onClear={() => set({ match: undefined, svc: undefined })} /> : <Results exprs={run} options={options} onExprs={commit} onErrors={setErrors} />}
    </div>
  );
}

/** What the URL says about the rows: `hide=B,C`, `legend=…` by row, `step=30s`. */
function useRowOptions(rows: number): RowOptions {
  const { search, set } = useUrl();
  const hide = one(search['hide']) ?? '';
  const legend = search['legend'];
  const stepText = one(search['step']);
  return useMemo(() => {
    const hidden = new Set(hide.split(',').filter(Boolean).map((l) => l.charCodeAt(0) - 65));
    const legends = all(legend).map((l) => (l === '-' ? '' : l));
    const ms = stepText ? parseDuration(stepText) : undefined;
    return {
      hidden,
      legends,
      step: ms && ms >= 1000 ? Math.round(ms / 1000) : undefined,
      onHide: (row) => {
        const next = new Set(hidden);
        if (!next.delete(row)) next.add(row);
        set({ hide: [...next].sort().map(letter).join(',') || undefined }, true);
      },
      onLegend: (row, text) => {
        const next = Array.from({ length: Math.max(rows, row + 1) }, (_, i) => (i === row ? text : (legends[i] ?? '')) || '-');
        set({ legend: next.every((l) => l === '-') ? undefined : next }, true);
      },
      onStep: (text) => set({ step: text || undefined }, true),
    };
  }, [hide, legend, stepText, rows, set]);
}

/** `?m=name` is a metric by name, as the palette links it: it becomes a query as soon as its type is known. */
function useNamedMetric(name: string | undefined): void {
  const { set } = useUrl();
  const { metrics, loading } = useMetricList(name ?? '', 50, Boolean(name));
  useEffect(() => {
    if (!name || loading) return;
    const base = name.replace(/_(bucket|count|sum)$/, '');
    const m = metrics.find((x) => x.name === name) ?? metrics.find((x) => x.name === base) ?? { name, type: 'unknown' as const, unit: '', help: '' };
    set({ q: defaultQuery(m), m: undefined }, true);
  }, [name, loading, metrics, set]);
}
