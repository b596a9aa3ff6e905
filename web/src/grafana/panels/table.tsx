/** The table panel: sorting, coloured cells, links, bars and small charts in cells. */
import { useMemo, useState } from 'react';
import type { JSX } from 'react';
import { Button, Spark } from '@/ui/kit';
import { textColor } from '../color';
import { extent, show, shownText } from '../display';
import { isNull, nameOf, reduce, rowsOf } from '../frames';
import type { Field, Frame } from '../frames';
import { arr, num, obj, str } from '../model';
import { compare } from '../transforms';
import { fieldLinks } from './context';
import type { PanelProps } from './context';
import { Linked } from './parts';

const page = 500;

export function Table(props: PanelProps): JSX.Element {
  const { panel, frames, values } = props;
  const [at, setAt] = useState(0);
  const tables = useMemo(() => asTables(frames), [frames]);
  const frame = tables[Math.min(at, tables.length - 1)];
  const [sort, setSort] = useState<{ name: string; desc: boolean } | undefined>();
  const [limit, setLimit] = useState(page);
  const wanted = obj(arr(panel.options['sortBy'])[0]);
  const by = sort ?? (str(wanted['displayName']) ? { name: str(wanted['displayName'])!, desc: wanted['desc'] === true } : undefined);
  const columns = useMemo(() => (frame ? frame.fields.filter((f) => f.config.custom['hidden'] !== true && obj(f.config.custom['hideFrom'])['viz'] !== true) : []), [frame]);
  const order = useMemo(() => {
    if (!frame) return [];
    const rows = Array.from({ length: rowsOf(frame) }, (_, i) => i);
    const f = by && columns.find((c) => nameOf(c, frame, tables) === by.name);
    const key = (v: unknown) => (typeof v === 'object' && v !== null ? obj(v)['value'] : v);
    return f && by ? rows.sort((a, b) => compare(key(f.values[a]), key(f.values[b])) * (by.desc ? -1 : 1)) : rows;
  }, [frame, columns, by?.name, by?.desc, tables]);
  if (!frame) return <div className="g-empty">No data</div>;
  const footer = obj(panel.options['footer']);
  const ends = new Map(columns.map((c) => [c, extent([{ refId: '', fields: [c] }])]));
  return (
    <div className="g-table">
      <div className="g-scroll" tabIndex={0} role="region" aria-label={panel.title || 'Table'}>
        <table className="list">
          {panel.options['showHeader'] !== false && (
            <thead>
              <tr>
                {columns.map((c, i) => {
                  const name = nameOf(c, frame, tables);
                  const on = by?.name === name;
                  return (
                    <th key={i} scope="col" className={alignOf(c)} style={widthOf(c)} aria-sort={on ? (by!.desc ? 'descending' : 'ascending') : undefined} title={c.config.description}>
                      <button type="button" onClick={() => setSort({ name, desc: on ? !by!.desc : c.type === 'number' })}>
                        {name}
                        {on ? (by!.desc ? ' ↓' : ' ↑') : ''}
                      </button>
                    </th>
                  );
                })}
              </tr>
            </thead>
          )}
          <tbody>
            {order.slice(0, limit).map((row) => (
              <tr key={row}>
                {columns.map((c, i) => (
                  <Cell key={i} field={c} row={row} frame={frame} all={tables} values={values} ends={ends.get(c)} />
                ))}
              </tr>
            ))}
          </tbody>
          {footer['show'] === true && (
            <tfoot>
              <tr>
                {columns.map((c, i) => (
                  <td key={i} className={`${alignOf(c)} num`}>
                    {c.type === 'number' && (arr(footer['fields']).length === 0 || arr(footer['fields']).includes(nameOf(c, frame, tables))) ? shownText(show(c.config, reduce(str(arr(footer['reducer'])[0]) ?? 'sum', c))) : ''}
                  </td>
                ))}
              </tr>
            </tfoot>
          )}
        </table>
        {order.length > limit && (
          <div className="g-more">
            {limit} of {order.length} rows <Button small onClick={() => setLimit((n) => n + page)}>Show more</Button>
          </div>
        )}
      </div>
      {tables.length > 1 && (
        <select className="g-pick" aria-label="Query result" value={at} onChange={(e) => setAt(Number(e.target.value))}>
          {tables.map((t, i) => (
            <option key={i} value={i}>
              {t.fields.find((f) => f.type === 'number') ? nameOf(t.fields.find((f) => f.type === 'number')!, t, frames) : t.refId}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}

/** Frames that are one table in truth: instant results of single rows are put below each other. */
function asTables(frames: Frame[]): Frame[] {
  const series = frames.filter((f) => f.kind === 'series');
  if (series.length < 2 || !series.every((f) => rowsOf(f) === 1)) return frames;
  const others = frames.filter((f) => f.kind !== 'series');
  const value = series[0]!.fields[1]!;
  const joined: Frame = {
    refId: series[0]!.refId,
    fields: [
      { ...series[0]!.fields[0]!, values: series.map((f) => f.fields[0]!.values[0]) },
      { name: 'Metric', type: 'string', labels: {}, config: { custom: {} }, values: series.map((f) => nameOf(f.fields[1]!, f, frames)) },
      { ...value, name: 'Value', alias: 'Value', labels: {}, config: { ...value.config }, values: series.map((f) => f.fields[1]!.values[0]) },
    ],
  };
  return [joined, ...others];
}

function alignOf(f: Field): string {
  const a = str(f.config.custom['align']);
  if (a && a !== 'auto') return a === 'right' ? 'r' : a === 'center' ? 'c' : '';
  return f.type === 'number' ? 'r' : '';
}

const widthOf = (f: Field) => {
  const w = num(f.config.custom['width']);
  const least = num(f.config.custom['minWidth']);
  return { ...(w ? { width: w, maxWidth: w } : {}), ...(least ? { minWidth: least } : {}) };
};

interface CellProps {
  field: Field;
  row: number;
  frame: Frame;
  all: Frame[];
  values: PanelProps['values'];
  ends: [number, number] | undefined;
}

function Cell({ field: f, row, frame, all, values, ends }: CellProps): JSX.Element {
  const raw = f.values[row];
  const options = obj(f.config.custom['cellOptions']);
  const type = str(options['type']) ?? cellOfOld(str(f.config.custom['displayMode']));
  const lo = f.config.min ?? ends?.[0];
  const hi = f.config.max ?? ends?.[1];
  const links = fieldLinks(f, row, frame, all, values);
  if (type === 'sparkline' && typeof raw === 'object' && raw !== null) {
    const s = raw as { values: number[]; value: unknown };
    return (
      <td className="g-trend">
        <span className="g-trendchart">
          <Spark values={s.values} label="Trend" height={20} />
        </span>
        <span className="num">{shownText(show(f.config, s.value))}</span>
      </td>
    );
  }
  if (f.type === 'time' && typeof raw === 'number') {
    const shown = f.config.unit ? shownText(show(f.config, raw)) : new Date(raw).toLocaleString('sv-SE');
    return (
      <td className={`${alignOf(f)} num`}>
        <Linked links={links}>{shown}</Linked>
      </td>
    );
  }
  const shown = show(f.config, raw, 'var(--text)', lo, hi);
  const text = shownText(shown);
  const style: Record<string, string> = {};
  if (type === 'color-text') style['color'] = textColor(shown.color);
  if (type.startsWith('color-background')) style['background'] = `color-mix(in srgb, ${shown.color} 34%, transparent)`;
  const bar = type.endsWith('gauge') && typeof raw === 'number' && hi !== undefined && lo !== undefined && hi > lo;
  const mapped = shown.color !== 'var(--muted)' && f.config.mappings && f.config.mappings.length > 0 && type === 'auto' && isNull(raw) === false && f.type !== 'number';
  return (
    <td className={`${alignOf(f)}${f.type === 'number' ? ' num' : ''}`} style={style} title={text.length > 40 ? text : undefined}>
      {bar ? (
        <span className="g-cellbar">
          <span className="g-bartrack">
            <span className="g-barfill" style={{ width: `${Math.max(0, Math.min(1, (raw - Math.min(0, lo)) / (hi - Math.min(0, lo)))) * 100}%`, background: shown.color }} />
          </span>
          <Linked links={links} className="num">{text}</Linked>
        </span>
      ) : (
        <Linked links={links}>{mapped && shown.color ? <span>{text}</span> : text}</Linked>
      )}
    </td>
  );
}

function cellOfOld(mode: string | undefined): string {
  if (mode === 'basic' || mode === 'gradient-gauge' || mode === 'lcd-gauge') return 'gauge';
  return mode && mode !== 'auto' ? mode : 'auto';
}
