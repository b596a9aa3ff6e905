/** The settings of a dashboard while it is edited: general, variables, annotations, links, and its whole JSON. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { JSX } from 'react';
import { zoneNames } from '@/core/time/zone';
import { rawText } from '@/grafana/api';
import type { DashboardMeta } from '@/grafana/api';
import { arr, obj } from '@/grafana/model';
import type { Dashboard, Json } from '@/grafana/model';
import type { Values } from '@/grafana/template';
import type { Resolved } from '@/grafana/variables';
import { Button, ErrorBox, Loading, Tabs } from '@/ui/kit';
import { AnnotationsForm } from './annotation-form';
import { draftText } from './edit';
import type { Draft } from './edit';
import { Check, Field, put, Select, Text } from './form';
import type { Choices } from './form';
import { JSONField } from './json';
import { ListForm } from './list-form';
import { VariablesForm } from './variable-form';

export interface SettingsProps {
  dashboard: Dashboard;
  meta: DashboardMeta;
  draft: Draft;
  resolved: Resolved[];
  values: Values;
  tab: string;
  onTab: (tab: string) => void;
  onDone: () => void;
  onSave: () => void;
  change: (f: (d: Json) => void) => void;
  /** Takes a whole text in place of what was edited. */
  onText: (text: string, value: unknown) => void;
}

const names: Record<string, string> = { general: 'General', variables: 'Variables', annotations: 'Annotations', links: 'Links', json: 'JSON' };

export default function Settings(props: SettingsProps): JSX.Element {
  const { dashboard: d, resolved, values, change } = props;
  const tab = names[props.tab] ? props.tab : 'general';
  const counts: Record<string, number> = { variables: d.variables.length, annotations: d.annotations.filter((a) => !a.builtIn).length, links: d.links.length };
  return (
    <div className="g-settings" data-testid="settings">
      <Tabs
        label="Settings of the dashboard"
        value={tab}
        onChange={props.onTab}
        tabs={Object.entries(names).map(([id, label]) => ({ id, label: counts[id] ? `${label} (${counts[id]})` : label }))}
        end={
          <Button small kind="primary" onClick={props.onDone}>
            Back to the dashboard
          </Button>
        }
      />
      {tab === 'general' && <General d={d} change={change} />}
      {tab === 'variables' && <VariablesForm dashboard={d} resolved={resolved} change={change} />}
      {tab === 'annotations' && <AnnotationsForm dashboard={d} values={values} change={change} />}
      {tab === 'links' && <DashboardLinks d={d} change={change} />}
      {tab === 'json' && <Whole {...props} />}
    </div>
  );
}

interface PartProps {
  d: Dashboard;
  change: (f: (d: Json) => void) => void;
}

const refreshes: Choices = [['', 'Off'], ['5s', '5 s'], ['10s', '10 s'], ['30s', '30 s'], ['1m', '1 min'], ['5m', '5 min'], ['15m', '15 min'], ['30m', '30 min'], ['1h', '1 h']];
const cursors: Choices = [['0', 'Each panel its own'], ['1', 'Shared cursor'], ['2', 'Shared cursor and tooltip']];

function General({ d, change }: PartProps): JSX.Element {
  const [zones, setZones] = useState<Choices>([]);
  const zone = d.timezone === 'browser' ? '' : d.timezone;
  return (
    <div className="g-fields g-narrow">
      <Field label="Title">
        <Text value={d.title} check={(v) => (v.trim() === '' ? 'A dashboard needs a title.' : undefined)} onCommit={(v) => change((j) => (j['title'] = v))} />
      </Field>
      <Field label="Description">
        <Text lines={3} value={d.description} onCommit={(v) => change((j) => put(j, 'description', v))} />
      </Field>
      <Field label="Tags" hint="Separated by commas">
        <Text value={d.tags.join(', ')} onCommit={(v) => change((j) => (j['tags'] = [...new Set(v.split(',').map((t) => t.trim()).filter(Boolean))]))} />
      </Field>
      <div className="g-three">
        <Field label="Opens with: from">
          <Text value={d.time?.from ?? ''} placeholder="now-1h" onCommit={(v) => change((j) => (j['time'] = v ? { to: 'now', ...obj(j['time']), from: v } : undefined))} />
        </Field>
        <Field label="To">
          <Text value={d.time?.to ?? ''} placeholder="now" onCommit={(v) => change((j) => (j['time'] = { from: 'now-1h', ...obj(j['time']), to: v || 'now' }))} />
        </Field>
        <Field label="Refresh">
          <Select value={d.refresh} choices={refreshes} onChange={(v) => change((j) => (j['refresh'] = v))} />
        </Field>
      </div>
      <div className="g-three">
        <Field label="Time zone">
          <select className="select" value={zone} onFocus={() => setZones(zoneNames().map((z) => [z, z] as const))} onChange={(e) => change((j) => (j['timezone'] = e.target.value))}>
            <option value="">The viewer’s</option>
            <option value="utc">UTC</option>
            {zone && zone !== 'utc' && !zones.some(([z]) => z === zone) && <option>{zone}</option>}
            {zones.map(([z]) => (
              <option key={z}>{z}</option>
            ))}
          </select>
        </Field>
        <Field label="Cursor">
          <Select value={String(d.raw['graphTooltip'] ?? 0)} choices={cursors} onChange={(v) => change((j) => (j['graphTooltip'] = Number(v)))} />
        </Field>
      </div>
    </div>
  );
}

const linkTypes: Choices = [['link', 'An address'], ['dashboards', 'Dashboards with tags']];

function DashboardLinks({ d, change }: PartProps): JSX.Element {
  const raw = arr(d.raw['links']).map(obj);
  return (
    <ListForm
      what="link"
      list={raw}
      titles={d.links.map((l) => ({ title: l.title || l.url || l.tags.join(', ') || 'Link', detail: l.type === 'dashboards' ? `dashboards with ${l.tags.join(', ') || 'any tag'}` : l.url }))}
      fresh={() => ({ type: 'link', title: 'Logs', url: '/logs', icon: 'external link', tags: [], keepTime: true, includeVars: false, targetBlank: false, asDropdown: false })}
      onChange={(list) => change((j) => (j['links'] = list))}
    >
      {(i, set) => {
        const l = d.links[i]!;
        return (
          <div className="g-fields">
            <div className="g-three">
              <Field label="Leads to">
                <Select value={l.type} choices={linkTypes} onChange={(v) => set((j) => (j['type'] = v))} />
              </Field>
              <Field label="Title">
                <Text value={l.title} onCommit={(v) => set((j) => (j['title'] = v))} />
              </Field>
              {l.type === 'link' ? (
                <Field label="Address">
                  <Text value={l.url} onCommit={(v) => set((j) => (j['url'] = v))} />
                </Field>
              ) : (
                <Field label="Tags">
                  <Text value={l.tags.join(', ')} onCommit={(v) => set((j) => (j['tags'] = v.split(',').map((t) => t.trim()).filter(Boolean)))} />
                </Field>
              )}
            </div>
            <div className="row wrap">
              <Check value={l.keepTime} onChange={(v) => set((j) => (j['keepTime'] = v))}>
                With the time range
              </Check>
              <Check value={l.includeVars} onChange={(v) => set((j) => (j['includeVars'] = v))}>
                With the variables
              </Check>
              <Check value={l.newTab} onChange={(v) => set((j) => (j['targetBlank'] = v))}>
                New tab
              </Check>
              {l.type === 'dashboards' && (
                <Check value={l.dropdown} onChange={(v) => set((j) => (j['asDropdown'] = v))}>
                  As a menu
                </Check>
              )}
            </div>
          </div>
        );
      }}
    </ListForm>
  );
}

function Whole({ dashboard: d, meta, draft, onText, onSave }: SettingsProps): JSX.Element {
  const q = useQuery({ queryKey: ['dashboard', d.uid, 'text', meta.version], queryFn: ({ signal }) => rawText(d.uid, signal), enabled: draft.text === undefined, retry: false, meta: { clock: false } });
  const source = draft.text ?? q.data;
  if (q.error) return <ErrorBox error={q.error} onRetry={() => void q.refetch()} />;
  if (source === undefined) return <Loading what="the text" />;
  return (
    <div className="g-fields g-whole">
      <p className="muted g-hint">This is the dashboard as it will be saved: what no form touched is as its author wrote it, byte for byte. The uid and the version are set on saving.</p>
      <JSONField label="Dashboard JSON" text={draftText(source, d.raw)} onApply={onText}>
        {(apply, wrong) => (
          <Button small kind="primary" disabled={wrong} onClick={() => apply() && onSave()}>
            Save as a new version…
          </Button>
        )}
      </JSONField>
    </div>
  );
}
