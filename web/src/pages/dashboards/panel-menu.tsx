/** The menu of a panel, and the inspector behind it. */
import { Dialog, DropdownMenu } from 'radix-ui';
import { lazy, Suspense, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import type { Frame } from '@/grafana/frames';
import type { Panel } from '@/grafana/model';
import type { PanelData } from '@/grafana/query';
import { absolute } from '@/grafana/panels/context';
import { Icon } from '@/ui/icons';
import { copyText } from '@/ui/kit';

const Inspector = lazy(() => import('./inspect'));

export interface PanelMenuProps {
  panel: Panel;
  title: string;
  data: PanelData | undefined;
  frames: Frame[];
  placeKey: string;
  viewed: boolean;
  editing: boolean;
  onEdit: () => void;
  onRemove: () => void;
}

export function PanelMenu({ panel, title, data, frames, placeKey, viewed, editing, onEdit, onRemove }: PanelMenuProps): JSX.Element {
  const { set, go } = useUrl();
  const time = useTime();
  const [inspect, setInspect] = useState<'data' | 'query' | 'json'>();
  const asked = data?.asked[0];
  const explore = asked && {
    to: asked.source.startsWith('LogQL') ? '/logs' : asked.source === 'TraceQL' ? '/traces' : '/explore/metrics',
    search: { q: asked.source.startsWith('PromQL') ? data.asked.filter((a) => a.source.startsWith('PromQL')).map((a) => a.text) : asked.text, via: title },
  };
  const share = () => {
    const url = new URL(location.href);
    url.searchParams.set('viewPanel', placeKey);
    const r = absolute(time.range);
    url.searchParams.set('from', r.from);
    url.searchParams.set('to', r.to);
    url.searchParams.delete('refresh');
    url.searchParams.delete('editPanel');
    void copyText(url.toString());
  };
  return (
    <>
      <DropdownMenu.Root modal={false}>
        <DropdownMenu.Trigger asChild>
          <button type="button" className="g-more-btn" aria-label={`Menu of ${title || 'the panel'}`} data-testid="panelmenu">
            <Icon name="more" size={14} />
          </button>
        </DropdownMenu.Trigger>
        <DropdownMenu.Portal>
          <DropdownMenu.Content className="pop menu" align="end" sideOffset={4}>
            <DropdownMenu.Item className="item" onSelect={() => set({ viewPanel: viewed ? undefined : placeKey })}>
              {viewed ? 'All panels' : 'View'}
            </DropdownMenu.Item>
            <DropdownMenu.Item className="item" onSelect={onEdit}>
              Edit
            </DropdownMenu.Item>
            {explore && (
              <DropdownMenu.Item className="item" onSelect={() => go(explore.to, explore.search)}>
                Explore
              </DropdownMenu.Item>
            )}
            <DropdownMenu.Separator className="g-sep" />
            <DropdownMenu.Item className="item" onSelect={() => setInspect('data')}>
              Inspect data
            </DropdownMenu.Item>
            <DropdownMenu.Item className="item" onSelect={() => setInspect('query')}>
              Inspect query
            </DropdownMenu.Item>
            <DropdownMenu.Item className="item" onSelect={() => setInspect('json')}>
              Panel JSON
            </DropdownMenu.Item>
            <DropdownMenu.Separator className="g-sep" />
            <DropdownMenu.Item className="item" onSelect={share}>
              Copy link to the panel
            </DropdownMenu.Item>
            {editing && (
              <DropdownMenu.Item className="item" onSelect={onRemove}>
                Remove
              </DropdownMenu.Item>
            )}
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
      {inspect && (
        <Dialog.Root open onOpenChange={(o) => !o && setInspect(undefined)}>
          <Dialog.Portal>
            <Dialog.Overlay className="overlay" />
            <Dialog.Content className="dialog g-wide" aria-describedby={undefined}>
              <header>
                <Dialog.Title className="grow clip g-dialogtitle">{title || 'Panel'}</Dialog.Title>
                <Dialog.Close asChild>
                  <button type="button" className="btn quiet icon" aria-label="Close">
                    <Icon name="x" />
                  </button>
                </Dialog.Close>
              </header>
              <Suspense>
                <Inspector panel={panel} data={data} frames={frames} tab={inspect} onTab={setInspect} />
              </Suspense>
            </Dialog.Content>
          </Dialog.Portal>
        </Dialog.Root>
      )}
    </>
  );
}
