/** The bar of variables and links above the panels. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { useUrl } from '@/app/url';
import { labelNames, labelValues } from '@/core/api/prometheus';
import { searchDashboards } from '@/grafana/api';
import { cssColor } from '@/grafana/color';
import type { Annotation, DashboardLink, Option } from '@/grafana/model';
import { Anchor } from '@/grafana/panels/parts';
import { linkURL } from '@/grafana/panels/context';
import { allVariables, interpolate } from '@/grafana/template';
import type { Values } from '@/grafana/template';
import { all, writeFilter } from '@/grafana/variables';
import type { Filter, Resolved } from '@/grafana/variables';
import { Icon } from '@/ui/icons';
import { Button, Popover } from '@/ui/kit';

export function Variables({ list }: { list: Resolved[] }): JSX.Element {
  return (
    <>
      {list
        .filter((r) => r.variable.hide !== 'all')
        .map((r) => (
          <div key={r.variable.name} className="g-var" data-testid={`var-${r.variable.name}`}>
            {r.variable.hide !== 'label' && <span className="g-varlabel">{r.variable.label}</span>}
            {r.variable.type === 'textbox' ? <TextBox r={r} /> : r.variable.type === 'adhoc' ? <AdHoc r={r} /> : <Picker r={r} />}
          </div>
        ))}
    </>
  );
}

function TextBox({ r }: { r: Resolved }): JSX.Element {
  const { set } = useUrl();
  const [text, setText] = useState(r.chosen[0] ?? '');
  useEffect(() => setText(r.chosen[0] ?? ''), [r.chosen[0]]);
  const commit = () => text !== (r.chosen[0] ?? '') && set({ [`var-${r.variable.name}`]: text === '' ? undefined : text });
  return <input className="input" aria-label={r.variable.label} value={text} onChange={(e) => setText(e.target.value)} onBlur={commit} onKeyDown={(e) => e.key === 'Enter' && commit()} />;
}

const shown = 200;

function Picker({ r }: { r: Resolved }): JSX.Element {
  const { set } = useUrl();
  const [open, setOpen] = useState(false);
  const [text, setText] = useState('');
  const { variable: v } = r;
  const choices: Option[] = [...(v.includeAll ? [{ text: 'All', value: all }] : []), ...r.options];
  const hits = choices.filter((o) => o.text.toLowerCase().includes(text.toLowerCase()));
  const put = (values: string[]) => set({ [`var-${v.name}`]: values.length > 0 ? values : undefined });
  const pick = (o: Option, add: boolean) => {
    if (!v.multi) {
      put([o.value]);
      setOpen(false);
      return;
    }
    if (o.value === all) return put([all]);
    const others = r.chosen.filter((c) => c !== all);
    if (!add) {
      const on = others.includes(o.value);
      const next = on ? others.filter((c) => c !== o.value) : [...others, o.value];
      return put(next.length === 0 && v.includeAll ? [all] : next);
    }
    put([o.value]);
  };
  return (
    <Popover
      label={`Values of ${v.label}`}
      open={open}
      onOpenChange={(o) => {
        setOpen(o);
        setText('');
      }}
      className="g-picker"
      trigger={
        <button type="button" className="btn g-varvalue" aria-label={`${v.label}: ${r.value.text || 'none'}`} title={r.error ?? r.value.text}>
          {r.error && <Icon name="error" size={13} />}
          <span className="clip">{r.value.text || (r.unsupported ? 'not supported' : 'None')}</span>
          <Icon name="down" size={13} />
        </button>
      }
    >
      <input className="input" aria-label={`Search values of ${v.label}`} placeholder="Search or type a value, Enter" autoFocus value={text} onChange={(e) => setText(e.target.value)} onKeyDown={(e) => e.key === 'Enter' && text && pick(hits[0] && hits[0].text.toLowerCase() === text.toLowerCase() ? hits[0] : hits.length === 1 ? hits[0]! : { text, value: text }, false)} />
      <div className="g-choices">
        {hits.slice(0, shown).map((o) => (
          <button key={o.value} type="button" role={v.multi ? 'menuitemcheckbox' : 'menuitemradio'} aria-checked={r.chosen.includes(o.value)} className="item" onClick={(e) => pick(o, e.ctrlKey || e.metaKey)}>
            <span className="g-check">{r.chosen.includes(o.value) && <Icon name="check" size={13} />}</span>
            <span className="clip">{o.text}</span>
          </button>
        ))}
        {hits.length > shown && <div className="muted g-note">{hits.length - shown} more: type to narrow</div>}
        {hits.length === 0 && <div className="muted g-note">{r.error ?? r.unsupported ?? 'No value matches; Enter takes the text as it is'}</div>}
      </div>
    </Popover>
  );
}

function AdHoc({ r }: { r: Resolved }): JSX.Element {
  const { set } = useUrl();
  const time = useTime();
  const [draft, setDraft] = useState<Filter>();
  const filters = r.filters ?? [];
  const put = (list: Filter[]) => set({ [`var-${r.variable.name}`]: list.length > 0 ? list.map(writeFilter) : undefined });
  const keys = useQuery({ queryKey: ['adhoc-keys'], queryFn: ({ signal }) => labelNames(undefined, time.range, signal), enabled: draft !== undefined, staleTime: 60_000, retry: false, meta: { clock: false } });
  const values = useQuery({ queryKey: ['adhoc-values', draft?.key], queryFn: ({ signal }) => labelValues(draft!.key, undefined, time.range, signal), enabled: Boolean(draft?.key), staleTime: 60_000, retry: false, meta: { clock: false } });
  return (
    <span className="row">
      {filters.map((f, i) => (
        <span key={i} className="chip">
          {f.key} {f.operator} <b>{f.value}</b>
          <button type="button" aria-label={`Remove filter ${f.key}`} onClick={() => put(filters.filter((_, k) => k !== i))}>
            <Icon name="x" size={12} />
          </button>
        </span>
      ))}
      {draft ? (
        <form
          className="row"
          onSubmit={(e) => {
            e.preventDefault();
            if (draft.key && draft.value) put([...filters, draft]);
            setDraft(undefined);
          }}
        >
          <input className="input" list={`keys-${r.variable.name}`} aria-label="Label" placeholder="label" value={draft.key} onChange={(e) => setDraft({ ...draft, key: e.target.value })} autoFocus />
          <datalist id={`keys-${r.variable.name}`}>{keys.data?.map((k) => <option key={k} value={k} />)}</datalist>
          <select className="select" aria-label="Operator" value={draft.operator} onChange={(e) => setDraft({ ...draft, operator: e.target.value })}>
            {['=', '!=', '=~', '!~'].map((o) => (
              <option key={o}>{o}</option>
            ))}
          </select>
          <input className="input" list={`values-${r.variable.name}`} aria-label="Value" placeholder="value" value={draft.value} onChange={(e) => setDraft({ ...draft, value: e.target.value })} />
          <datalist id={`values-${r.variable.name}`}>{values.data?.map((k) => <option key={k} value={k} />)}</datalist>
          <Button small type="submit">
            Add
          </Button>
        </form>
      ) : (
        <Button small icon="plus" aria-label="Add a filter" onClick={() => setDraft({ key: '', operator: '=', value: '' })} />
      )}
    </span>
  );
}

/** The annotations, each with what it found; pressed means shown. `off` has those that are not as the dashboard says. */
export function Switches({ list, counts, failed, off, onToggle }: { list: Annotation[]; counts: Record<string, number>; failed: Record<string, string>; off: ReadonlySet<string>; onToggle: (name: string) => void }): JSX.Element {
  return (
    <>
      {list.map((a) => {
        const on = a.enable !== off.has(a.name);
        return (
          <button key={a.name} type="button" className="btn quiet small g-mark" aria-pressed={on} title={failed[a.name] ?? `Marks on the charts: ${a.expr}`} onClick={() => onToggle(a.name)}>
            <i className="g-dot" style={{ background: on ? cssColor(a.color) : 'transparent', borderColor: cssColor(a.color) }} />
            {a.name}
            {on && failed[a.name] && <Icon name="error" size={13} />}
            {on && counts[a.name] !== undefined && <span className="muted num">{counts[a.name]}</span>}
          </button>
        );
      })}
    </>
  );
}

export function Links({ links, values }: { links: DashboardLink[]; values: Values }): JSX.Element {
  return (
    <>
      {links.map((l, i) => (l.type === 'dashboards' ? <Tagged key={i} link={l} values={values} /> : <Anchor key={i} className="btn quiet small" link={{ title: l.title, url: withParams(linkURL(l.url, values), l, values), newTab: l.newTab }}>{interpolate(l.title, values, 'text') || l.url}</Anchor>))}
    </>
  );
}

function withParams(url: string, l: DashboardLink, values: Values): string {
  const time = values['__url_time_range']?.values[0] ?? '';
  const own = Object.fromEntries(Object.entries(values).filter(([k]) => !k.startsWith('__') && k !== 'timeFilter'));
  const parts = [l.keepTime ? time : '', l.includeVars ? allVariables(own) : ''].filter(Boolean);
  return parts.length > 0 ? `${url}${url.includes('?') ? '&' : '?'}${parts.join('&')}` : url;
}

/** Links to all dashboards with the tags. */
function Tagged({ link, values }: { link: DashboardLink; values: Values }): JSX.Element | null {
  const q = useQuery({ queryKey: ['dashboards', 'tagged', link.tags], queryFn: ({ signal }) => searchDashboards({ tags: link.tags }, signal), staleTime: 60_000, retry: false, meta: { clock: false } });
  const list = (q.data ?? []).map((d) => ({ title: d.title, url: withParams(`/d/${d.uid}/${d.slug}`, link, values), newTab: link.newTab }));
  if (list.length === 0) return null;
  if (!link.dropdown) {
    return (
      <>
        {list.slice(0, 6).map((d) => (
          <Anchor key={d.url} className="btn quiet small" link={d}>
            {d.title}
          </Anchor>
        ))}
      </>
    );
  }
  return (
    <Popover
      label={link.title || 'Dashboards'}
      align="end"
      className="menu"
      trigger={
        <Button small kind="quiet" icon="dashboards">
          {link.title || 'Dashboards'}
        </Button>
      }
    >
      {list.map((d) => (
        <Anchor key={d.url} className="item" link={d}>
          {d.title}
        </Anchor>
      ))}
    </Popover>
  );
}

