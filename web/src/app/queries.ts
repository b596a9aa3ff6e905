/** Queries that several pages share. */
import { useQuery } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import { fetchStatus } from '@/core/api/pharos';
import type { Status } from '@/core/api/pharos';
import { labelNames } from '@/core/api/prometheus';

/** What the server has received so far; asked every two seconds while the page is visible. */
export function useStatus(): UseQueryResult<Status> {
  return useQuery({
    queryKey: ['status'],
    queryFn: ({ signal }) => fetchStatus(signal),
    refetchInterval: 2000,
    staleTime: 1500,
    retry: false,
    meta: { clock: false },
  });
}

/** The metric label that carries the service name: `service_name` when it was promoted, else `job`. */
export function useServiceLabel(): string {
  const q = useQuery({
    queryKey: ['service-label'],
    queryFn: async ({ signal }) => {
      const now = Date.now();
      const names = await labelNames('http_server_request_duration_seconds_count', { from: now - 3_600_000, to: now }, signal);
      return names.includes('service_name') ? 'service_name' : 'job';
    },
    staleTime: 60_000,
    retry: false,
    meta: { clock: false },
  });
  return q.data ?? 'job';
}
