/** Services: all of them as a list, or as the map of who calls whom. */
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useMemo } from 'react';
import type { JSX } from 'react';
import { useGolden } from '@/app/golden';
import { GoldenCharts, GoldenTable, shortName } from '@/app/golden-view';
import { useServiceLabel } from '@/app/queries';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import { traceTagValues } from '@/core/api/tempo';
import { goldenByService } from '@/core/metrics/golden';
import { one } from '@/core/url/search';
import { Button, Empty, ErrorBox, Loading, LoadingBar, Segmented } from '@/ui/kit';

const ServiceMap = lazy(() => import('./map'));

export default function ServicesPage(): JSX.Element {
  const time = useTime();
  const { search, set } = useUrl();
  const map = one(search['view']) === 'map';
  const label = useServiceLabel();
  const golden = useGolden(time.range, useMemo(() => goldenByService(label), [label]), label);
  const traced = useQuery({
    queryKey: ['trace-services', Math.floor(time.range.from / 60_000)],
    queryFn: ({ signal }) => traceTagValues('resource.service.name', time.range, signal),
    staleTime: 60_000,
    retry: false,
  });
  const extra = useMemo(() => (traced.data ?? []).map((v) => v.value ?? '').filter(Boolean).sort(), [traced.data]);
  const toggle = (
    <Segmented
      small
      label="View"
      value={map ? 'map' : 'list'}
      onChange={(v) => set({ view: v === 'map' ? 'map' : undefined }, true)}
      options={[
        { id: 'list', label: 'List' },
        { id: 'map', label: 'Map' },
      ]}
    />
  );
  if (map) {
    return (
      <Suspense fallback={<Loading what="the map" />}>
        <ServiceMap golden={golden} toggle={toggle} />
      </Suspense>
    );
  }
  if (golden.pending || traced.isPending) return <Loading what="services" />;
  return (
    <div className="page">
      {golden.error ? <ErrorBox error={golden.error} onRetry={time.refresh} /> : null}
      {golden.rows.length > 0 && <GoldenCharts golden={golden} via="Services" />}
      <section className="panel" aria-label="Services">
        <LoadingBar on={golden.fetching} />
        <header>
          <h2>Services</h2>
          <span className="muted num">{new Set([...golden.rows.map((g) => shortName(g.name)), ...extra]).size}</span>
          <span className="grow" />
          {toggle}
        </header>
        {golden.rows.length === 0 && extra.length === 0 ? (
          <Empty title="No services in this time range" action={<Button icon="zoomout" onClick={time.zoomOut}>Zoom out</Button>}>
            A service appears when it sends traces or durations of its requests.
          </Empty>
        ) : (
          <GoldenTable golden={golden} label={label} full extra={extra} via="Services" />
        )}
      </section>
    </div>
  );
}
