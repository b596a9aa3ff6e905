/** The small parts that every page is made of. */
import { Popover as RPopover, Tabs as RTabs, Tooltip as RTooltip } from 'radix-ui';
import { useEffect, useRef, useState } from 'react';
import type { ButtonHTMLAttributes, JSX, ReactNode } from 'react';
import { ApiError } from '@/core/api/http';
import type { Cost } from '@/core/api/http';
import { count, formatValue } from '@/core/units/units';
import { Icon } from './icons';
import type { IconName } from './icons';

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  icon?: IconName;
  kind?: 'primary' | 'quiet' | 'danger';
  small?: boolean;
  pressed?: boolean;
};

export function Button({ icon, kind, small, pressed, className, children, ...rest }: ButtonProps): JSX.Element {
  const cls = ['btn', kind, small && 'small', !children && 'icon', className].filter(Boolean).join(' ');
  return (
    <button type="button" className={cls} aria-pressed={pressed} {...rest}>
      {icon && <Icon name={icon} size={small ? 13 : 15} />}
      {children}
    </button>
  );
}

export function Tip({ text, children }: { text: ReactNode; children: JSX.Element }): JSX.Element {
  return (
    <RTooltip.Root>
      <RTooltip.Trigger asChild>{children}</RTooltip.Trigger>
      <RTooltip.Portal>
        <RTooltip.Content className="tip" sideOffset={5} collisionPadding={8}>
          {text}
        </RTooltip.Content>
      </RTooltip.Portal>
    </RTooltip.Root>
  );
}

/** A button that is only an icon: its name is both tooltip and accessible name. */
export function IconButton({ label, hint, ...rest }: ButtonProps & { label: string; icon: IconName; hint?: string }): JSX.Element {
  return (
    <Tip text={hint ? `${label} (${hint})` : label}>
      <Button aria-label={label} {...rest} />
    </Tip>
  );
}

export function Popover(props: { trigger: JSX.Element; open?: boolean; onOpenChange?: (open: boolean) => void; align?: 'start' | 'center' | 'end'; label: string; className?: string; children: ReactNode }): JSX.Element {
  return (
    <RPopover.Root {...(props.open !== undefined ? { open: props.open } : {})} {...(props.onOpenChange ? { onOpenChange: props.onOpenChange } : {})}>
      <RPopover.Trigger asChild>{props.trigger}</RPopover.Trigger>
      <RPopover.Portal>
        <RPopover.Content className={`pop ${props.className ?? ''}`} align={props.align ?? 'start'} sideOffset={6} collisionPadding={10} aria-label={props.label}>
          {props.children}
        </RPopover.Content>
      </RPopover.Portal>
    </RPopover.Root>
  );
}

export function Tabs({ value, onChange, tabs, label, end }: { value: string; onChange: (v: string) => void; tabs: { id: string; label: ReactNode }[]; label: string; end?: ReactNode }): JSX.Element {
  return (
    <RTabs.Root value={value} onValueChange={onChange} activationMode="manual" className="tabs">
      <RTabs.List className="tablist" aria-label={label}>
        {tabs.map((t) => (
          <RTabs.Trigger key={t.id} value={t.id} className="tab" aria-controls={undefined}>
            {t.label}
          </RTabs.Trigger>
        ))}
      </RTabs.List>
      {end && <div className="row tabsend">{end}</div>}
    </RTabs.Root>
  );
}

/** A choice of few, side by side. */
export function Segmented({ label, value, options, onChange, small }: { label: string; value: string; options: { id: string; label: string }[]; onChange: (id: string) => void; small?: boolean }): JSX.Element {
  return (
    <div className="group" role="group" aria-label={label}>
      {options.map((o) => (
        <Button key={o.id} small={small ?? false} pressed={o.id === value} onClick={() => onChange(o.id)}>
          {o.label}
        </Button>
      ))}
    </div>
  );
}

/** One titled part of a query form. */
export function Step({ title, children }: { title: string; children: ReactNode }): JSX.Element {
  return (
    <div className="qstep">
      <span className="qlabel">{title}</span>
      <div className="row wrap">{children}</div>
    </div>
  );
}

export function CopyButton({ text, label = 'Copy', small = true, children }: { text: string | (() => string); label?: string; small?: boolean; children?: ReactNode }): JSX.Element {
  const [done, setDone] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <Button
      icon={done ? 'check' : 'copy'}
      kind="quiet"
      small={small}
      aria-label={done ? 'Copied' : label}
      title={label}
      onClick={() => {
        void copyText(typeof text === 'string' ? text : text()).then(() => {
          setDone(true);
          timer.current = setTimeout(() => setDone(false), 1200);
        });
      }}
    >
      {children}
    </Button>
  );
}

export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages served over plain HTTP from another machine have no clipboard API.
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

export function LoadingBar({ on }: { on: boolean }): JSX.Element | null {
  return on ? <div className="bar" role="progressbar" aria-label="Loading" /> : null;
}

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <div className="state" role="status">
      <LoadingBar on />
      <span>Loading {what}…</span>
    </div>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }): JSX.Element {
  return (
    <div className="state" role="status">
      <div className="title">{title}</div>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** Warnings of an answer that is not complete. */
export function Partial({ warnings, action }: { warnings: string[]; action?: ReactNode }): JSX.Element | null {
  if (warnings.length === 0) return null;
  return (
    <div className="notice" role="status">
      <Icon name="warn" />
      <span className="grow">{warnings.join(' · ')}</span>
      {action}
    </div>
  );
}

/** An error with the place in the query, when the server named one. */
export function ErrorBox({ error, query, onRetry }: { error: unknown; query?: string | undefined; onRetry?: (() => void) | undefined }): JSX.Element {
  const message = error instanceof Error ? error.message : String(error);
  const pos = error instanceof ApiError ? error.position : undefined;
  const line = pos && query ? query.split('\n')[pos.line - 1] : undefined;
  return (
    <div className="errorbox" role="alert">
      <Icon name="error" />
      <div className="grow">
        <div className="msg">{message}</div>
        {pos && line !== undefined && (
          <pre>
            {line.slice(Math.max(0, pos.col - 60), pos.col + 60)}
            {'\n'}
            {' '.repeat(Math.max(0, Math.min(pos.col - 1, 59 + (pos.col < 60 ? pos.col : 0))))}
            <span className="caret">^</span>
          </pre>
        )}
      </div>
      {onRetry && (
        <Button small onClick={onRetry}>
          Retry
        </Button>
      )}
    </div>
  );
}

/** What an answer cost: rows, bytes scanned, time. */
export function CostLine({ cost, parts = [] }: { cost: Cost | undefined; parts?: (string | undefined | false)[] }): JSX.Element | null {
  if (!cost) return null;
  const all = [...parts.filter((p): p is string => Boolean(p)), `${formatValue(cost.bytes, 'bytes')} received`, `${count(Math.round(cost.ms))} ms`];
  return (
    <span className="cost" data-testid="cost">
      {all.map((p) => (
        <span key={p}>{p}</span>
      ))}
    </span>
  );
}

export function Spark({ values, width = 120, height = 28, color = 'var(--accent)', label }: { values: ArrayLike<number>; width?: number; height?: number; color?: string; label?: string }): JSX.Element {
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (Number.isFinite(v)) {
      min = Math.min(min, v);
      max = Math.max(max, v);
    }
  }
  if (min > 0 && min < max * 0.6) min = 0;
  const span = max - min || 1;
  let d = '';
  let pen = false;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (!Number.isFinite(v)) {
      pen = false;
      continue;
    }
    const x = values.length > 1 ? (i / (values.length - 1)) * (width - 2) + 1 : width / 2;
    const y = max === min ? height / 2 : height - 2 - ((v - min) / span) * (height - 4);
    d += `${pen ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  }
  return (
    <svg width="100%" height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label ?? 'Sparkline'} style={{ display: 'block' }}>
      {d && <path d={d} fill="none" stroke={color} strokeWidth="1.5" vectorEffect="non-scaling-stroke" strokeLinejoin="round" />}
    </svg>
  );
}
