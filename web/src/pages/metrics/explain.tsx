/** How a query is evaluated, part by part, and what it would read. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { explainQuery } from '@/core/api/prometheus';
import type { PlanNode } from '@/core/api/prometheus';
import { expandMacros } from '@/core/time/range';
import { count, formatValue } from '@/core/units/units';
import { ErrorBox, Loading } from '@/ui/kit';

export function Explain({ exprs, step }: { exprs: string[]; step: number }): JSX.Element {
  return (
    <div data-testid="explain">
      {exprs.map((e, i) => (
        <Plan key={i} expr={e} step={step} />
      ))}
    </div>
  );
}

function Plan({ expr, step }: { expr: string; step: number }): JSX.Element {
  const { range } = useTime();
  const q = useQuery({
    queryKey: ['explain-promql', expr, range.from, range.to, step],
    queryFn: ({ signal }) => explainQuery(expandMacros(expr, range, step), range, step, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (q.error) return <ErrorBox error={q.error} query={expr} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Loading what="the plan" />;
  const { plan, price } = q.data;
  return (
    <section className="plan" aria-label={`Plan of ${expr}`}>
      <div className="row wrap">
        <b>Would read</b>
        <span className="num">{count(price.series)} series</span>
        <span className="num">{count(price.chunks)} chunks</span>
        <span className="num">{formatValue(price.bytes, 'bytes')}</span>
        {plan.steps !== undefined && <span className="num muted">for {count(plan.steps)} steps</span>}
      </div>
      <ul className="plantree">
        <Part node={plan} />
      </ul>
    </section>
  );
}

function Part({ node }: { node: PlanNode }): JSX.Element {
  return (
    <li>
      <code>{node.expr}</code>
      {node.how && <div className="muted">{node.how}</div>}
      {node.price && (
        <div className="faint num">
          {count(node.price.series)} series, {count(node.price.chunks)} chunks, {formatValue(node.price.bytes, 'bytes')}
        </div>
      )}
      {node.args && node.args.length > 0 && (
        <ul>
          {node.args.map((a, i) => (
            <Part key={i} node={a} />
          ))}
        </ul>
      )}
    </li>
  );
}
