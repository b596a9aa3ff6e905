/** Switches a chart between drawing and table. */
import type { JSX } from 'react';
import { IconButton } from '@/ui/kit';

/** Shown when the pointer or the focus is on the chart. */
export function TableButton({ on = false, onClick }: { on?: boolean; onClick: () => void }): JSX.Element {
  return <IconButton small kind="quiet" icon="table" className="astable" pressed={on} label={on ? 'View as chart' : 'View as table'} onClick={onClick} />;
}
