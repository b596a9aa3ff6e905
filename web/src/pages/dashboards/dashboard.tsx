/** One dashboard: its variables, links, rows and panels; and editing it. */
import '@/grafana/panels/panels.css';
import './dashboards.css';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react';
import type { JSX } from 'react';
import { useKeys } from '@/app/keys';
import { useTime } from '@/app/time';
import { useNamePage } from '@/app/title';
import { GoLink, useUrl } from '@/app/url';
import { ApiError } from '@/core/api/http';
import { parseDuration, resolveRange } from '@/core/time/parse';
import { isZone } from '@/core/time/zone';
import { all as allOf, one } from '@/core/url/search';
import { loadDashboard, starDashboard } from '@/grafana/api';
import type { DashboardMeta } from '@/grafana/api';
import { answerable, runAnnotation } from '@/grafana/annotations';
import type { Frame } from '@/grafana/frames';
import { flat, layout } from '@/grafana/layout';
import type { Placed } from '@/grafana/layout';
import { equal } from '@/grafana/jsontext';
import { migrate } from '@/grafana/migrate';
import { clone, obj } from '@/grafana/model';
import type { Annotation, Dashboard, Json, Panel } from '@/grafana/model';
import { PanelView } from '@/grafana/panel-view';
import type { Mark } from '@/grafana/panels/context';
import { readDashboard } from '@/grafana/project';
import { builtins, interpolate } from '@/grafana/template';
import { limited } from '@/grafana/query';
import { resolveVariables, usesTime, valuesOf } from '@/grafana/variables';
import { Button, Empty, ErrorBox, IconButton, Loading } from '@/ui/kit';
import { addPanel, changePanel, movePanel, removePanel } from './edit';
import type { Draft } from './edit';
import { Grid } from './grid';
import { LeaveGuard } from './leave';
import { PanelMenu } from './panel-menu';
import { Links, Switches, Variables } from './variables';

const Editor = lazy(() => import('./panel-editor'));
const SaveDialog = lazy(() => import('./save'));
const History = lazy(() => import('./history'));
const Settings = lazy(() => import('./settings'));

export default function DashboardPage(): JSX.Element {
  const { uid = '' } = useParams({ strict: false }) as { uid?: string };
  const q = useQuery({ queryKey: ['dashboard', uid], queryFn: ({ signal }) => loadDashboard(uid, signal), staleTime: 60_000, retry: false, meta: { clock: false } });
  if (q.error) {
    const missing = q.error instanceof ApiError && q.error.status === 404;
    return (
      <div className="page">
        {missing ? (
          <Empty title="There is no such dashboard" action={<GoLink className="btn" to="/d">All dashboards</GoLink>}>
            Nothing is saved under “{uid}”.
          </Empty>
        ) : (
          <ErrorBox error={q.error} onRetry={() => void q.refetch()} />
        )}
      </div>
    );
  }
  if (!q.data) return <div className="page"><Loading what="the dashboard" /></div>;
  return <Loaded key={uid} meta={q.data.meta} json={q.data.dashboard} />;
}

function Loaded({ meta, json }: { meta: DashboardMeta; json: Json }): JSX.Element {
  const [draft, setDraft] = useState<Draft>();
  const read = useMemo(() => {
    try {
      return { dashboard: readDashboard(draft?.json ?? json) };
    } catch (err) {
      return { error: err };
    }
  }, [draft, json]);
  useNamePage(read.dashboard?.title);
  if (!read.dashboard) {
    return (
      <div className="page">
        <ErrorBox error={read.error} />
      </div>
    );
  }
  const changed = () => draft !== undefined && (draft.text !== undefined || !equal(draft.json, migrate(json)));
  return <View meta={meta} dashboard={read.dashboard} draft={draft} changed={changed} onDraft={setDraft} />;
}

interface ViewProps {
  meta: DashboardMeta;
  dashboard: Dashboard;
  draft: Draft | undefined;
  /** Whether the draft says something else than what is saved. */
  changed: () => boolean;
  onDraft: (d: Draft | undefined) => void;
}

function View({ meta, dashboard, draft, changed, onDraft }: ViewProps): JSX.Element {
  const { search, set } = useUrl();
  const time = useTime();
  const client = useQueryClient();
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [dialog, setDialog] = useState<'save' | 'history'>();
  const [starred, setStarred] = useState(meta.isStarred);
  const editing = draft !== undefined;
  const kiosk = search['kiosk'] !== undefined;
  const only = one(search['viewPanel']);
  const edited = editing ? one(search['editPanel']) : undefined;
  const settings = editing ? one(search['settings']) : undefined;
  const [shown, setShown] = useState<{ frames: Frame[]; answered: Frame[] }>({ frames: [], answered: [] });
  const onFrames = useCallback((frames: Frame[], answered: Frame[]) => setShown({ frames, answered }), []);
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());

  // The dashboard's own range, refresh and zone, unless the address has others.
  const own = dashboard.time;
  const needsTime = own && !one(search['from']) && !one(search['to']) && resolveRange(own, Date.now()) !== undefined;
  useEffect(() => {
    const refresh = !one(search['refresh']) && (parseDuration(dashboard.refresh) ?? 0) >= 5000;
    const zone = dashboard.timezone.toLowerCase() === 'utc' ? 'utc' : dashboard.timezone;
    const zoned = zone !== '' && zone !== 'browser' && isZone(zone) && search['timezone'] === undefined;
    const asks = { ...(needsTime ? { from: own.from, to: own.to, ...(refresh ? { refresh: dashboard.refresh } : {}) } : {}), ...(zoned ? { timezone: zone } : {}) };
    if (Object.keys(asks).length > 0) set(asks, true);
  }, []);

  useEffect(() => {
    document.documentElement.toggleAttribute('data-kiosk', kiosk);
    return () => document.documentElement.removeAttribute('data-kiosk');
  }, [kiosk]);
  useKeys({
    Escape: () => {
      if (only) set({ viewPanel: undefined });
      else if (kiosk) set({ kiosk: undefined }, true);
    },
  });

  const asked = useMemo(() => Object.fromEntries(dashboard.variables.map((v) => [v.name, search[`var-${v.name}`] === undefined ? undefined : allOf(search[`var-${v.name}`])])), [dashboard.variables, search]);
  const clock = useMemo(() => ({ range: time.range, text: time.text }), [time.range, time.text]);
  const onTime = dashboard.variables.some(usesTime);
  const vars = useQuery({
    queryKey: ['variables', dashboard.uid, dashboard.variables, asked, onTime ? time.range : 0],
    queryFn: () => resolveVariables(dashboard.variables, asked, time.range, builtins(dashboard, clock, {}), (key, get) => client.fetchQuery({ queryKey: ['variable', key], queryFn: () => limited(get), staleTime: 30_000, retry: false, meta: { clock: false } })),
    enabled: !needsTime,
    placeholderData: (old) => old,
    retry: false,
    meta: { clock: false },
  });
  const resolved = vars.data;
  const values = useMemo(() => {
    const mine = valuesOf(resolved ?? []);
    return { ...builtins(dashboard, clock, mine), ...mine };
  }, [resolved, dashboard, clock]);
  const filters = useMemo(() => (resolved ?? []).flatMap((r) => r.filters ?? []), [resolved]);
  const annotations = useMemo(() => dashboard.annotations.filter((a) => answerable(a, dashboard.variables)), [dashboard]);
  const { marks, counts, failed } = useMarks(dashboard, annotations.filter((a) => a.enable !== off.has(a.name)), values, !needsTime && resolved !== undefined);
  const placed = useMemo(() => (resolved ? layout(dashboard.panels, resolved, toggled) : []), [dashboard.panels, resolved, toggled]);

  const change = useCallback((f: (d: Json) => void) => {
    const next = clone(dashboard.raw);
    f(next);
    onDraft({ ...draft, json: next });
  }, [dashboard.raw, draft, onDraft]);
  const replaceText = (text: string, value: unknown) => {
    const next: Json = { ...obj(value), uid: dashboard.uid, version: meta.version };
    readDashboard(next);
    onDraft({ json: next, text });
  };

  const edit = () => onDraft({ json: clone(dashboard.raw) });
  const leave = { editPanel: undefined, settings: undefined };
  const star = () => {
    setStarred(!starred);
    void starDashboard(dashboard.uid, !starred).then(() => client.invalidateQueries({ queryKey: ['dashboards'] }), () => setStarred(starred));
  };

  const draw = (p: Placed, extra: { drag?: React.HTMLAttributes<HTMLElement>; handle?: JSX.Element; onFrames?: (frames: Frame[], answered: Frame[]) => void } = {}) => (
    <PanelView
      key={p.key}
      dashboard={dashboard}
      panel={p.panel}
      values={Object.keys(p.scope).length > 0 ? { ...values, ...p.scope } : values}
      filters={filters}
      range={time.range}
      marks={marks}
      onZoom={time.zoomTo}
      onZoomOut={time.zoomOut}
      dragProps={extra.drag}
      handle={extra.handle}
      {...(extra.onFrames ? { onFrames: extra.onFrames, eager: true } : {})}
      menu={(data, frames) => (
        <PanelMenu
          panel={p.panel}
          title={interpolate(p.panel.title, { ...values, ...p.scope }, 'text')}
          data={data}
          frames={frames}
          placeKey={p.key}
          viewed={only !== undefined}
          editing={editing}
          onEdit={() => {
            if (!editing) edit();
            set({ ...leave, editPanel: String(p.panel.id), viewPanel: undefined });
          }}
          onRemove={() => change((d) => removePanel(d, p.panel.id))}
        />
      )}
    />
  );

  const viewed = only ? (placed.find((p) => p.key === only) ?? placed.find((p) => String(p.panel.id) === only) ?? loose(dashboard, only)) : undefined;
  const editedPanel = edited ? flat(dashboard.panels).find((p) => String(p.id) === edited) : undefined;

  return (
    <div className="page g-page">
      <div className="g-toolbar">
        <IconButton icon="star" kind="quiet" label={starred ? 'Remove the star' : 'Star'} aria-pressed={starred} className={starred ? 'g-starred' : ''} onClick={star} />
        {meta.folderTitle && meta.folderTitle !== 'General' && <span className="muted hide-small">{meta.folderTitle}</span>}
        {dashboard.tags.slice(0, 5).map((t) => (
          <GoLink key={t} className="tag hide-small" to="/d" search={{ tag: t }}>
            {t}
          </GoLink>
        ))}
        <span className="grow" />
        {viewed && (
          <Button icon="left" onClick={() => set({ viewPanel: undefined })}>
            All panels
          </Button>
        )}
        {editing ? (
          <>
            <Button icon="plus" onClick={() => change((d) => set({ ...leave, editPanel: String(addPanel(d)) }))}>
              Add panel
            </Button>
            <Button icon="sliders" aria-pressed={settings !== undefined} onClick={() => set({ settings: settings === undefined ? 'general' : undefined, editPanel: undefined, viewPanel: undefined })}>
              Settings
            </Button>
            <Button onClick={() => { onDraft(undefined); set(leave); }}>Discard</Button>
            <Button kind="primary" onClick={() => setDialog('save')}>
              Save
            </Button>
          </>
        ) : (
          <>
            <Button icon="pencil" onClick={edit}>
              Edit
            </Button>
            <Button icon="clock" kind="quiet" onClick={() => setDialog('history')}>
              History
            </Button>
            <a className="btn quiet" href={`/api/dashboards/uid/${encodeURIComponent(dashboard.uid)}/raw`} download>
              Export
            </a>
            <Button kind="quiet" className="hide-small" onClick={() => set({ kiosk: '1' })} title="Only the panels; Esc ends it">
              Kiosk
            </Button>
          </>
        )}
      </div>
      {!kiosk && settings === undefined && (resolved?.length ?? 0) + dashboard.links.length + annotations.length > 0 && (
        <div className="g-vars">
          <Variables list={resolved ?? []} />
          <Switches
            list={annotations.filter((a) => !a.hide)}
            counts={counts}
            failed={failed}
            off={off}
            onToggle={(name) => setOff((old) => {
              const next = new Set(old);
              if (!next.delete(name)) next.add(name);
              return next;
            })}
          />
          <span className="grow" />
          <Links links={dashboard.links} values={values} />
        </div>
      )}
      {vars.error && <ErrorBox error={vars.error} onRetry={() => void vars.refetch()} />}
      {settings !== undefined && draft ? (
        <Suspense fallback={<Loading what="the settings" />}>
          <Settings dashboard={dashboard} meta={meta} draft={draft} resolved={resolved ?? []} values={values} tab={settings} onTab={(t) => set({ settings: t }, true)} onDone={() => set({ settings: undefined })} onSave={() => setDialog('save')} change={change} onText={replaceText} />
        </Suspense>
      ) : editedPanel && resolved ? (
        <Suspense fallback={<Loading what="the editor" />}>
          <Editor
            key={editedPanel.id}
            panel={editedPanel}
            preview={draw({ key: `edit-${editedPanel.id}`, panel: editedPanel, grid: editedPanel.grid, scope: {}, folded: false }, { onFrames })}
            variables={dashboard.variables.map((v) => v.name)}
            frames={shown.frames}
            answered={shown.answered}
            onChange={(raw) => change((d) => changePanel(d, editedPanel.id, raw))}
            onDone={() => set({ editPanel: undefined })}
          />
        </Suspense>
      ) : viewed ? (
        <div className="g-single">{draw(viewed)}</div>
      ) : !resolved ? (
        <Loading what="variables" />
      ) : placed.length === 0 ? (
        <Empty title="This dashboard has no panels" action={<Button icon="plus" kind="primary" onClick={() => change((d) => set({ editPanel: String(addPanel(d)) }))}>Add a panel</Button>}>
          Add one, or write its JSON under Settings.
        </Empty>
      ) : (
        <Grid
          placed={placed}
          editing={editing}
          draw={draw}
          rowTitle={(p) => interpolate(p.panel.title, { ...values, ...p.scope }, 'text')}
          onToggle={(key) => setToggled((old) => {
            const next = new Set(old);
            if (!next.delete(key)) next.add(key);
            return next;
          })}
          onMove={(id, grid) => change((d) => movePanel(d, id, grid))}
        />
      )}
      {editing && <LeaveGuard title={dashboard.title} changed={changed} onSave={() => setDialog('save')} />}
      <Suspense>
        {dialog === 'save' && draft && (
          <SaveDialog
            meta={meta}
            dashboard={dashboard}
            draft={draft}
            onClose={() => setDialog(undefined)}
            onSaved={() => {
              setDialog(undefined);
              onDraft(undefined);
              set(leave, true);
            }}
          />
        )}
        {dialog === 'history' && <History uid={dashboard.uid} current={meta.version} readOnly={meta.provisioned} onClose={() => setDialog(undefined)} />}
      </Suspense>
    </div>
  );
}

/** A panel inside a folded row can still be viewed alone. */
function loose(d: Dashboard, id: string): Placed | undefined {
  const panel = flat(d.panels).find((p: Panel) => String(p.id) === id && p.type !== 'row');
  return panel && { key: id, panel, grid: panel.grid, scope: {}, folded: false };
}

interface Marked {
  marks: Mark[];
  counts: Record<string, number>;
  failed: Record<string, string>;
}

/** The annotations that are switched on, asked one by one: one that fails does not take the others with it. */
function useMarks(d: Dashboard, list: Annotation[], values: ReturnType<typeof valuesOf>, on: boolean): Marked {
  const time = useTime();
  const q = useQuery({
    queryKey: ['annotations', d.uid, list, list.map((a) => interpolate(a.expr, values)), time.range],
    queryFn: async ({ signal }) => {
      const out: Marked = { marks: [], counts: {}, failed: {} };
      await Promise.all(
        list.map(async (a) => {
          try {
            const found = await runAnnotation(a, values, d.variables, time.range, signal);
            out.counts[a.name] = found.length;
            out.marks.push(...found);
          } catch (err) {
            if (signal.aborted) throw err;
            out.failed[a.name] = err instanceof Error ? err.message : String(err);
          }
        }),
      );
      return out;
    },
    enabled: on && list.length > 0,
    placeholderData: (old) => old,
    retry: false,
  });
  return list.length > 0 ? (q.data ?? none) : none;
}

const none: Marked = { marks: [], counts: {}, failed: {} };
