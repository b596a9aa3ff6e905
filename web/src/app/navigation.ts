/** The pages of the left rail. Only pages that exist and work are listed. */
import type { IconName } from '@/ui/icons';

export interface NavItem {
  to: string;
  label: string;
  icon: IconName;
  key: string;
}

export const navigation: NavItem[] = [
  { to: '/', label: 'Home', icon: 'home', key: 'h' },
  { to: '/explore/metrics', label: 'Metrics', icon: 'metrics', key: 'm' },
  { to: '/logs', label: 'Logs', icon: 'logs', key: 'l' },
  { to: '/traces', label: 'Traces', icon: 'traces', key: 't' },
  { to: '/services', label: 'Services', icon: 'services', key: 's' },
  { to: '/d', label: 'Dashboards', icon: 'dashboards', key: 'd' },
  { to: '/admin', label: 'Admin', icon: 'admin', key: 'a' },
];
