/** The exceptions of a panel: which fields, and what is different for them. */
import type { JSX } from 'react';
import { nameOf } from '@/grafana/frames';
import type { Frame } from '@/grafana/frames';
import { arr, obj, str } from '@/grafana/model';
import type { Json, Panel } from '@/grafana/model';
import { Button, IconButton } from '@/ui/kit';
import { Select, Text } from './form';
import type { Choices } from './form';
import { fieldProperties, PropertyEditor, suits } from './properties';

const matchers: Choices = [
  ['byName', 'Field with name'],
  ['byRegexp', 'Fields with names matching'],
  ['byType', 'Fields of type'],
  ['byFrameRefID', 'Fields of query'],
  ['byNames', 'Fields named one of'],
];

const types: Choices = [['number', 'Number'], ['string', 'Text'], ['time', 'Time'], ['boolean', 'Yes or no']];

export function Overrides({ panel, frames, onChange }: { panel: Panel; frames: Frame[]; onChange: (list: Json[]) => void }): JSX.Element {
  const list = arr(obj(panel.raw['fieldConfig'])['overrides']).map(obj);
  const names = [...new Set(frames.flatMap((f) => f.fields.map((c) => nameOf(c, f, frames))))];
  const set = (i: number, o: Json) => onChange(list.map((x, k) => (k === i ? o : x)));
  return (
    <div className="g-fields" data-testid="overrides">
      {list.map((o, i) => (
        <section key={i} className="g-override" aria-label={`Override ${i + 1}`}>
          <div className="row">
            <Matcher n={i + 1} matcher={obj(o['matcher'])} names={names} refs={panel.targets.map((t) => t.refId)} onChange={(matcher) => set(i, { ...o, matcher })} />
            <IconButton icon="trash" kind="quiet" small label={`Remove override ${i + 1}`} onClick={() => onChange(list.filter((_, k) => k !== i))} />
          </div>
          <Exceptions panel={panel.type} n={i + 1} list={arr(o['properties']).map(obj)} onChange={(properties) => set(i, { ...o, properties })} />
        </section>
      ))}
      {list.length === 0 && <p className="muted g-hint">An override gives some fields another unit, colour, axis or name than the rest of the panel.</p>}
      <div>
        <Button small icon="plus" onClick={() => onChange([...list, { matcher: { id: 'byName', options: names.find((n) => n !== 'Time') ?? '' }, properties: [] }])}>
          Add override
        </Button>
      </div>
    </div>
  );
}

function Matcher({ n, matcher, names, refs, onChange }: { n: number; matcher: Json; names: string[]; refs: string[]; onChange: (m: Json) => void }): JSX.Element {
  const id = str(matcher['id']) ?? '';
  const options = matcher['options'];
  const list = arr(obj(options)['names']).map(String);
  const text = typeof options === 'string' ? options : '';
  const put = (v: unknown) => onChange({ ...matcher, options: v });
  const start: Record<string, unknown> = { byName: names[0] ?? '', byRegexp: '/.*/', byType: 'number', byFrameRefID: refs[0] ?? 'A', byNames: { mode: 'include', names: [] } };
  return (
    <>
      <Select label={`Matcher of override ${n}`} value={id} choices={matchers} onChange={(to) => onChange({ id: to, options: start[to] })} />
      {id === 'byType' ? (
        <Select label={`Type of override ${n}`} value={text} choices={types} onChange={put} />
      ) : id === 'byFrameRefID' ? (
        <Select label={`Query of override ${n}`} value={text} choices={refs.map((r) => [r, r] as const)} onChange={put} />
      ) : id === 'byNames' ? (
        <Text label={`Fields of override ${n}`} placeholder="a, b" value={list.join(', ')} onCommit={(v) => put({ mode: 'include', ...obj(options), names: v.split(',').map((s) => s.trim()).filter(Boolean) })} />
      ) : id === 'byName' || id === 'byRegexp' ? (
        <Text label={`Fields of override ${n}`} placeholder={id === 'byName' ? 'name of a field' : '/errors.*/'} value={text} {...(id === 'byName' ? { choices: names } : {})} onCommit={put} />
      ) : (
        <code className="clip grow">{JSON.stringify(options)}</code>
      )}
    </>
  );
}

function Exceptions({ panel, n, list, onChange }: { panel: string; n: number; list: Json[]; onChange: (list: Json[]) => void }): JSX.Element {
  const free = fieldProperties.filter((p) => suits(p, panel) && !list.some((x) => x['id'] === p.id));
  return (
    <>
      {list.map((x, i) => {
        const spec = fieldProperties.find((p) => p.id === x['id']);
        const set = (value: unknown) => onChange(list.map((o, k) => (k === i ? { ...o, value } : o)));
        return (
          <div key={i} className="g-exception">
            {spec?.kind !== 'bool' && <span className="muted">{spec?.name ?? String(x['id'])}</span>}
            <div className="grow">{spec ? <PropertyEditor p={spec} value={x['value']} onChange={set} /> : <Text label={`Value of ${String(x['id'])}`} value={JSON.stringify(x['value']) ?? ''} check={notJSON} onCommit={(v) => set(JSON.parse(v))} />}</div>
            <IconButton icon="x" kind="quiet" small label={`Remove ${spec?.name ?? String(x['id'])} from override ${n}`} onClick={() => onChange(list.filter((_, k) => k !== i))} />
          </div>
        );
      })}
      <Select
        label={`Add a property to override ${n}`}
        value=""
        choices={[['', 'Add a property…'], ...free.map((p) => [p.id, p.name] as const)]}
        onChange={(id) => {
          const p = fieldProperties.find((q) => q.id === id);
          if (p) onChange([...list, { id, value: p.initial ?? p.choices?.[1]?.[0] ?? p.choices?.[0]?.[0] }]);
        }}
      />
    </>
  );
}

function notJSON(v: string): string | undefined {
  try {
    JSON.parse(v);
    return undefined;
  } catch {
    return 'This is not JSON; texts stand in double quotes.';
  }
}
