/** The popover of an exemplar: what it measured and the ways on from it. */
import { Popover } from 'radix-ui';
import type { JSX } from 'react';
import { GoLink } from '@/app/url';
import type { Exemplar } from '@/core/api/prometheus';
import { around, exemplarTrace, logsForService, logsForTrace, metricService, tracesForService } from '@/core/context/correlate';
import { formatTime } from '@/core/time/range';
import { formatValue } from '@/core/units/units';
import type { Unit } from '@/core/units/units';
import { Button } from '@/ui/kit';
import type { ChartPoint } from '@/viz/chart';

export function ExemplarPopover({ exemplar, at, unit, via, onFilter, onClose }: { exemplar: Exemplar; at: { x: number; y: number }; unit: 's' | 'none'; via: string; onFilter?: (label: string, value: string) => void; onClose: () => void }): JSX.Element {
  const id = exemplarTrace(exemplar.labels);
  const service = metricService(exemplar.seriesLabels);
  const labels = Object.entries(exemplar.seriesLabels).filter(([k]) => k !== '__name__' && k !== 'le');
  return (
    <Popover.Root open onOpenChange={(o) => !o && onClose()}>
      <Popover.Anchor style={{ position: 'absolute', left: at.x, top: at.y, width: 1, height: 1 }} />
      <Popover.Portal>
        <Popover.Content className="pop" style={{ width: 340, padding: 12 }} side="top" sideOffset={10} collisionPadding={10} aria-label="Exemplar">
          <div className="row" style={{ marginBottom: 8 }}>
            <b className="num" style={{ fontSize: 15 }}>
              {formatValue(exemplar.value, unit)}
            </b>
            <span className="muted num">{formatTime(exemplar.time, { ms: true })}</span>
          </div>
          <dl className="kv" style={{ marginBottom: 10 }}>
            {id && (
              <div>
                <dt>trace</dt>
                <dd>{id}</dd>
              </div>
            )}
            {labels.slice(0, 8).map(([k, v]) => (
              <div key={k}>
                <dt>{k}</dt>
                <dd>
                  {v}
                  {onFilter && (
                    <Button
                      small
                      kind="quiet"
                      icon="filter"
                      aria-label={`Filter to ${k} = ${v}`}
                      title="Filter to this"
                      onClick={() => {
                        onClose();
                        onFilter(k, v);
                      }}
                    />
                  )}
                </dd>
              </div>
            ))}
          </dl>
          {id ? (
            <div className="row">
              <GoLink className="btn primary" to={`/trace/${id}`} search={{ via }}>
                Open trace
              </GoLink>
              <GoLink className="btn" to="/logs" search={{ q: logsForTrace(id), ...around(exemplar.time), via }}>
                Logs
              </GoLink>
              {service && (
                <GoLink className="btn quiet" to="/traces" search={{ q: `{ resource.service.name = "${service}" && duration >= ${Math.max(1, Math.round(exemplar.value * 900))}ms }`, ...around(exemplar.time), via }}>
                  Similar
                </GoLink>
              )}
            </div>
          ) : (
            <span className="muted">This exemplar has no trace id.</span>
          )}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

/** The popover of a point on a line: the other signals at that moment. */
export function PointPopover({ point, at, unit, service, via, onClose }: { point: ChartPoint; at: { x: number; y: number }; unit: Unit; service: string | undefined; via: string; onClose: () => void }): JSX.Element {
  const window = around(point.time, point.time, 60_000);
  return (
    <Popover.Root open onOpenChange={(o) => !o && onClose()}>
      <Popover.Anchor style={{ position: 'absolute', left: at.x, top: at.y, width: 1, height: 1 }} />
      <Popover.Portal>
        <Popover.Content className="pop" style={{ width: 320, padding: 12 }} side="top" sideOffset={10} collisionPadding={10} aria-label="Point">
          <div className="row" style={{ marginBottom: 4 }}>
            <b className="num" style={{ fontSize: 15 }}>
              {formatValue(point.value, unit)}
            </b>
            <span className="muted num">{formatTime(point.time)}</span>
          </div>
          <div className="clip muted" style={{ marginBottom: 10 }}>
            {point.series.name}
          </div>
          <div className="row">
            <GoLink className="btn primary" to="/traces" search={{ q: service ? tracesForService(service) : undefined, ...window, via, ...(service ? { svc: service } : {}) }} data-testid="traces-at">
              Traces at this moment
            </GoLink>
            <GoLink className="btn" to="/logs" search={{ q: service ? logsForService(service) : undefined, ...window, via, ...(service ? { svc: service } : {}) }}>
              Logs
            </GoLink>
          </div>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
