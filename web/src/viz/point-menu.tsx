/** The menu of a point: what else is known about that moment. */
import { DropdownMenu } from 'radix-ui';
import type { JSX } from 'react';
import { Icon } from '@/ui/icons';
import type { IconName } from '@/ui/icons';

export interface MenuEntry {
  label: string;
  icon?: IconName;
  run?: () => void;
  /** Shown as a second level. */
  entries?: MenuEntry[];
}

/** Groups are divided by lines. */
export function PointMenu({ at, title, groups, onClose }: { at: { x: number; y: number }; title: string; groups: MenuEntry[][]; onClose: () => void }): JSX.Element {
  return (
    <DropdownMenu.Root open modal={false} onOpenChange={(o) => !o && onClose()}>
      <DropdownMenu.Trigger style={{ position: 'absolute', left: at.x, top: at.y, width: 1, height: 1, padding: 0, border: 0, opacity: 0 }} tabIndex={-1} aria-hidden="true" />
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="pop menu" align="start" sideOffset={4} collisionPadding={10} aria-label={title} data-testid="point-menu" onContextMenu={(e) => e.preventDefault()}>
          <DropdownMenu.Label className="menutitle clip">{title}</DropdownMenu.Label>
          {groups
            .filter((g) => g.length > 0)
            .map((g, i) => (
              <DropdownMenu.Group key={i} className="menugroup">
                {g.map((e) => (
                  <Entry key={e.label} entry={e} />
                ))}
              </DropdownMenu.Group>
            ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

function Entry({ entry }: { entry: MenuEntry }): JSX.Element {
  if (entry.entries) {
    return (
      <DropdownMenu.Sub>
        <DropdownMenu.SubTrigger className="item">
          {entry.icon && <Icon name={entry.icon} size={14} />}
          {entry.label}
          <span className="end">
            <Icon name="chevron" size={12} />
          </span>
        </DropdownMenu.SubTrigger>
        <DropdownMenu.Portal>
          <DropdownMenu.SubContent className="pop menu" sideOffset={2} collisionPadding={10}>
            {entry.entries.map((e) => (
              <Entry key={e.label} entry={e} />
            ))}
            {entry.entries.length === 0 && <div className="item faint">Nothing</div>}
          </DropdownMenu.SubContent>
        </DropdownMenu.Portal>
      </DropdownMenu.Sub>
    );
  }
  return (
    <DropdownMenu.Item className="item" onSelect={entry.run}>
      {entry.icon && <Icon name={entry.icon} size={14} />}
      {entry.label}
    </DropdownMenu.Item>
  );
}
