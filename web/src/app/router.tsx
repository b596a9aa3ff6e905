/** The routes. Every page is a chunk of its own. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { parseSearch, stringifySearch } from '@/core/url/search';
import { Empty } from '@/ui/kit';
import { PageError, Shell } from './shell';
import { GoLink } from './url';

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: PageError });

function NotFound() {
  return (
    <Empty title="There is no such page" action={<GoLink className="btn" to="/">Go home</GoLink>}>
      The address may be mistyped, or it belongs to a part that this version does not have.
    </Empty>
  );
}

const page = (path: string, load: () => Promise<{ default: () => React.JSX.Element }>) =>
  createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load), errorComponent: PageError });

const tree = root.addChildren([
  page('/', () => import('@/pages/home/home')),
  // Not /metrics: that is where Prometheus scrapes this process.
  page('/explore/metrics', () => import('@/pages/metrics/metrics')),
  page('/logs', () => import('@/pages/logs/logs')),
  page('/traces', () => import('@/pages/traces/traces')),
  page('/trace/$id', () => import('@/pages/trace/trace')),
  page('/services', () => import('@/pages/services/services')),
  page('/services/$name', () => import('@/pages/services/service')),
  page('/d', () => import('@/pages/dashboards/dashboards')),
  page('/d/$uid', () => import('@/pages/dashboards/dashboard')),
  page('/d/$uid/$slug', () => import('@/pages/dashboards/dashboard')),
  page('/admin', () => import('@/pages/admin/admin')),
]);

export const router = createRouter({
  routeTree: tree,
  parseSearch,
  stringifySearch,
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 0,
  scrollRestoration: false,
});
