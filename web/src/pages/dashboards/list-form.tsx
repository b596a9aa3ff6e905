/** A list of things that are edited one at a time: opened, added, copied, moved, removed. */
import { useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { clone } from '@/grafana/model';
import type { Json } from '@/grafana/model';
import { Icon } from '@/ui/icons';
import { Button, IconButton } from '@/ui/kit';

interface ListFormProps {
  what: string;
  list: Json[];
  /** One for each of the list; undefined hides it. */
  titles: ({ title: string; detail: string; mark?: ReactNode } | undefined)[];
  fresh: () => Json;
  /** Changes a copy so that both can stand in one list. */
  rename?: (copy: Json) => void;
  onChange: (list: Json[]) => void;
  /** Says what the list is for, when it is empty. */
  hint?: string;
  children: (i: number, set: (f: (j: Json) => void) => void) => ReactNode;
}

export function ListForm({ what, list, titles, fresh, rename, onChange, hint, children }: ListFormProps): JSX.Element {
  const [open, setOpen] = useState<number>();
  const set = (i: number, f: (j: Json) => void) =>
    onChange(
      list.map((x, k) => {
        if (k !== i) return x;
        const y = clone(x);
        f(y);
        return y;
      }),
    );
  const move = (i: number, by: number) => {
    const next = [...list];
    next.splice(i + by, 0, ...next.splice(i, 1));
    onChange(next);
    setOpen(undefined);
  };
  const add = (x: Json) => {
    onChange([...list, x]);
    setOpen(list.length);
  };
  return (
    <div className="g-fields">
      <ul className="g-things" data-testid={`${what}s`}>
        {list.map((x, i) => {
          const t = titles[i];
          if (!t) return null;
          const name = t.title || 'without a name';
          return (
            <li key={i} data-open={open === i || undefined}>
              <div className="row">
                <button type="button" className="g-open row" aria-expanded={open === i} onClick={() => setOpen(open === i ? undefined : i)}>
                  <Icon name={open === i ? 'down' : 'chevron'} size={13} />
                  {t.mark}
                  <b className="clip">{name}</b>
                  <span className="muted clip grow mono">{t.detail}</span>
                </button>
                <IconButton icon="up" kind="quiet" small label={`Move ${name} up`} disabled={i === 0} onClick={() => move(i, -1)} />
                <IconButton icon="down" kind="quiet" small label={`Move ${name} down`} disabled={i === list.length - 1} onClick={() => move(i, 1)} />
                <IconButton
                  icon="copy"
                  kind="quiet"
                  small
                  label={`Copy ${name}`}
                  onClick={() => {
                    const copy = clone(x);
                    rename?.(copy);
                    add(copy);
                  }}
                />
                <IconButton
                  icon="trash"
                  kind="quiet"
                  small
                  label={`Remove ${name}`}
                  onClick={() => {
                    onChange(list.filter((_, k) => k !== i));
                    setOpen(undefined);
                  }}
                />
              </div>
              {open === i && <div className="g-opened">{children(i, (f) => set(i, f))}</div>}
            </li>
          );
        })}
      </ul>
      {titles.every((t) => !t) && hint && <p className="muted g-hint">{hint}</p>}
      <div>
        <Button small icon="plus" onClick={() => add(fresh())}>
          Add {what}
        </Button>
      </div>
    </div>
  );
}
