/** The fields of the lines on the page, with their most frequent values. */
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { summarizeFields } from '@/core/logs/rows';
import type { Field, LogRow } from '@/core/logs/rows';
import { Icon } from '@/ui/icons';
import { IconButton } from '@/ui/kit';

export function FieldList({ rows, columns, onFilter, onColumn }: { rows: readonly LogRow[]; columns: string[]; onFilter: (f: Field, include: boolean) => void; onColumn: (name: string) => void }): JSX.Element {
  const [open, setOpen] = useState<string | undefined>('service_name');
  const fields = useMemo(() => summarizeFields(rows.slice(0, 1000)), [rows]);
  const total = Math.min(rows.length, 1000);
  return (
    <aside className="fields" aria-label="Fields">
      <h2>
        Fields <span className="faint num">{fields.length}</span>
      </h2>
      {fields.map((f) => (
        <div key={`${f.kind}:${f.name}`} className="field" data-open={open === f.name || undefined}>
          <div className="head">
            <button type="button" className="name" aria-expanded={open === f.name} onClick={() => setOpen(open === f.name ? undefined : f.name)}>
              <Icon name={open === f.name ? 'down' : 'chevron'} size={12} />
              <span className="clip">{f.name}</span>
              <span className="faint num">{f.distinct}</span>
            </button>
            <IconButton small kind="quiet" icon="columns" pressed={columns.includes(f.name)} label={`Column ${f.name}`} onClick={() => onColumn(f.name)} />
          </div>
          {open === f.name && (
            <div className="values">
              {f.values.map((v) => (
                <div key={v.value} className="value">
                  <span className="share" style={{ width: `${(v.count / total) * 100}%` }} />
                  <span className="clip grow mono" title={v.value}>
                    {v.value || '(empty)'}
                  </span>
                  <span className="faint num">{Math.round((v.count / total) * 100)}%</span>
                  <span className="acts">
                    <IconButton small kind="quiet" icon="plus" label={`Only ${f.name} = ${v.value}`} onClick={() => onFilter({ name: f.name, kind: f.kind, value: v.value }, true)} />
                    <IconButton small kind="quiet" icon="minus" label={`Without ${f.name} = ${v.value}`} onClick={() => onFilter({ name: f.name, kind: f.kind, value: v.value }, false)} />
                  </span>
                </div>
              ))}
              {f.distinct > f.values.length && <div className="faint more">{f.distinct - f.values.length} more in these lines</div>}
            </div>
          )}
        </div>
      ))}
    </aside>
  );
}
