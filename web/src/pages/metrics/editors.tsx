/** The query rows: each is code or a form, can be named, hidden and removed. */
import { useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { formatPromForm, parsePromForm } from '@/core/metrics/builder';
import { formatDuration, parseDuration } from '@/core/time/parse';
import { PromqlEditor } from '@/query/promql';
import { Button, IconButton, Popover, Segmented } from '@/ui/kit';
import { PromBuilder } from './builder';

export const letter = (i: number) => String.fromCharCode(65 + i);

export interface RowOptions {
  hidden: ReadonlySet<number>;
  legends: string[];
  /** Seconds, undefined for the step that suits the width. */
  step: number | undefined;
  onHide: (row: number) => void;
  onLegend: (row: number, text: string) => void;
  onStep: (text: string) => void;
}

interface EditorsProps extends RowOptions {
  drafts: string[];
  /** Errors of the last run by row. */
  errors: unknown[];
  setDrafts: (d: string[]) => void;
  commit: (d: string[]) => void;
}

const modeKey = 'pharos.promMode';

function storedMode(): Mode {
  try {
    return localStorage.getItem(modeKey) === 'builder' ? 'builder' : 'code';
  } catch {
    return 'code';
  }
}

type Mode = 'code' | 'builder';

export function Editors({ drafts, errors, setDrafts, commit, ...options }: EditorsProps): JSX.Element {
  const { range } = useTime();
  const [mode, setMode] = useState<Mode>(storedMode);
  const choose = (m: Mode) => {
    setMode(m);
    try {
      localStorage.setItem(modeKey, m);
    } catch {
      // The choice lasts for this page then.
    }
  };
  const many = drafts.length > 1;
  return (
    <div className="editors">
      {drafts.map((d, i) => {
        const form = mode === 'builder' ? parsePromForm(d) : undefined;
        const put = (v: string) => drafts.map((x, k) => (k === i ? v : x));
        return (
          <div className="row" key={i} data-hidden={options.hidden.has(i) || undefined}>
            {many && <span className="rowletter">{letter(i)}</span>}
            {form ? (
              <PromBuilder
                form={form}
                onChange={(f) => setDrafts(put(formatPromForm(f)))}
                onRun={(f) => {
                  const next = put(formatPromForm(f));
                  setDrafts(next);
                  if (next[i]) commit(next);
                }}
              />
            ) : (
              <PromqlEditor
                label={`PromQL query ${letter(i)}`}
                hint="PromQL, for example sum by (job) (rate(http_server_request_duration_seconds_count[$__rate_interval]))"
                value={d}
                range={range}
                error={errors[i]}
                onChange={(v) => setDrafts(put(v))}
                onRun={(v) => commit(put(v))}
              />
            )}
            <RowMenu row={i} many={many} options={options} onRemove={() => commit(drafts.filter((_, k) => k !== i))} />
            {i === 0 && (
              <Button kind="primary" icon="play" onClick={() => commit(drafts)} data-testid="run">
                Run
              </Button>
            )}
            {i === 0 && <IconButton icon="plus" label="Add a query" onClick={() => setDrafts([...drafts, ''])} />}
            {i === 0 && (
              <Segmented
                label="How to write queries"
                value={mode}
                onChange={(m) => choose(m as Mode)}
                options={[
                  { id: 'builder', label: 'Builder' },
                  { id: 'code', label: 'Code' },
                ]}
              />
            )}
            {mode === 'builder' && !form && <span className="sr">This query is more than the form can show.</span>}
          </div>
        );
      })}
      {mode === 'builder' && drafts.some((d) => !parsePromForm(d)) && <div className="faint note">A query that the form cannot show stays code.</div>}
    </div>
  );
}

/** Name, step and visibility of a row. */
function RowMenu({ row, many, options, onRemove }: { row: number; many: boolean; options: RowOptions; onRemove: () => void }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [legend, setLegend] = useState(options.legends[row] ?? '');
  const [step, setStep] = useState(options.step ? formatDuration(options.step * 1000) : '');
  const bad = step.trim() !== '' && parseDuration(step) === undefined;
  const save = () => {
    if (legend !== (options.legends[row] ?? '')) options.onLegend(row, legend);
    if (!bad && step !== (options.step ? formatDuration(options.step * 1000) : '')) options.onStep(step.trim());
  };
  const hidden = options.hidden.has(row);
  return (
    <>
      {many && <IconButton icon={hidden ? 'eyeoff' : 'eye'} kind="quiet" pressed={hidden} label={hidden ? `Show query ${letter(row)}` : `Hide query ${letter(row)}`} onClick={() => options.onHide(row)} />}
      <Popover
        label="Options of the query"
        align="end"
        open={open}
        onOpenChange={(o) => {
          if (!o) save();
          else {
            setLegend(options.legends[row] ?? '');
            setStep(options.step ? formatDuration(options.step * 1000) : '');
          }
          setOpen(o);
        }}
        trigger={<Button icon="sliders" kind="quiet" aria-label={`Options of query ${letter(row)}`} title="Legend and step" />}
      >
        <form
          className="optionsform"
          onSubmit={(e) => {
            e.preventDefault();
            save();
            setOpen(false);
          }}
        >
          <label>
            Legend
            <input className="input mono" placeholder="{{job}} {{instance}}" value={legend} onChange={(e) => setLegend(e.target.value)} />
          </label>
          <label>
            Step of all queries
            <input className="input mono" placeholder="auto" value={step} aria-invalid={bad} onChange={(e) => setStep(e.target.value)} />
          </label>
          <button type="submit" className="btn small">
            Apply
          </button>
        </form>
      </Popover>
      {many && <IconButton icon="x" kind="quiet" label={`Remove query ${letter(row)}`} onClick={onRemove} />}
    </>
  );
}
