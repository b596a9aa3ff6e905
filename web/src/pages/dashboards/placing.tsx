/** How often a panel stands on the dashboard, and the time range that it has of its own. */
import type { JSX } from 'react';
import { parseDuration } from '@/core/time/parse';
import { num } from '@/grafana/model';
import type { Json, Panel } from '@/grafana/model';
import { Check, Field, put, Select, Text } from './form';
import type { Choices } from './form';

interface PlacingProps {
  panel: Panel;
  /** Names of the variables that it can be repeated for. */
  variables: string[];
  change: (f: (raw: Json) => void) => void;
}

const directions: Choices = [['h', 'Side by side'], ['v', 'Below each other']];
const perRow: Choices = ['1', '2', '3', '4', '6', '8', '12'].map((n) => [n, n] as const);

/** A repeated panel stands there once for each chosen value of a variable. */
export function Repeating({ panel, variables, change }: PlacingProps): JSX.Element {
  return (
    <fieldset>
      <legend>Repetition</legend>
      <div className="g-three">
        <Field label="For each value of">
          <Select
            value={panel.repeat ?? ''}
            choices={[['', 'Nothing'], ...variables.map((v) => [v, `$${v}`] as const)]}
            onChange={(v) =>
              change((raw) => {
                put(raw, 'repeat', v);
                if (v) raw['repeatDirection'] ??= 'h';
                else for (const k of ['repeatDirection', 'maxPerRow']) delete raw[k];
              })
            }
          />
        </Field>
        {panel.repeat && (
          <Field label="Direction">
            <Select value={panel.repeatVertical ? 'v' : 'h'} choices={directions} onChange={(v) => change((raw) => (raw['repeatDirection'] = v))} />
          </Field>
        )}
        {panel.repeat && !panel.repeatVertical && (
          <Field label="At most per row">
            <Select value={String(panel.maxPerRow)} choices={perRow} onChange={(v) => change((raw) => (raw['maxPerRow'] = num(v)))} />
          </Field>
        )}
      </div>
    </fieldset>
  );
}

const notDuration = (v: string) => (v === '' || parseDuration(v.replace(/^now-/, '')) ? undefined : 'A duration, such as 6h or 2d.');

/** A panel can look at another range than the dashboard, or at the same range some time ago. */
export function OwnTime({ panel, change }: Omit<PlacingProps, 'variables'>): JSX.Element {
  return (
    <fieldset>
      <legend>Time</legend>
      <div className="g-three">
        <Field label="Always the last">
          <Text value={panel.timeFrom ?? ''} placeholder="as the dashboard" check={notDuration} onCommit={(v) => change((raw) => put(raw, 'timeFrom', v))} />
        </Field>
        <Field label="Earlier by">
          <Text value={panel.timeShift ?? ''} placeholder="nothing" check={notDuration} onCommit={(v) => change((raw) => put(raw, 'timeShift', v))} />
        </Field>
      </div>
      {(panel.timeFrom || panel.timeShift) && (
        <Check value={panel.raw['hideTimeOverride'] !== true} onChange={(on) => change((raw) => put(raw, 'hideTimeOverride', on ? undefined : true))}>
          Say so beside the title
        </Check>
      )}
    </fieldset>
  );
}
