/** State timeline, pie and bar charts. */
import type { JSX } from 'react';
import { assign } from '@/core/palette/palette';
import { formatTime } from '@/core/time/range';
import { unitText } from '../units';
import { show, shownText } from '../display';
import { isNull, nameOf, numberFields, reduce, rowsOf, timeField } from '../frames';
import type { Field, Frame } from '../frames';
import { arr, obj, str } from '../model';
import type { PanelProps } from './context';
import { Linked, singles } from './parts';
import type { Single } from './parts';

interface Span {
  from: number;
  to: number;
  text: string;
  color: string;
}

export function spansOf(f: Field, times: number[], end: number, merge: boolean): Span[] {
  const out: Span[] = [];
  let step = Infinity;
  for (let i = 1; i < times.length; i++) step = Math.min(step, times[i]! - times[i - 1]!);
  f.values.forEach((v, i) => {
    if (isNull(v)) return;
    const s = show(f.config, v);
    const text = shownText(s);
    const to = times[i + 1] !== undefined && times[i + 1]! - times[i]! <= step * 1.5 ? times[i + 1]! : Math.min(end, times[i]! + (Number.isFinite(step) ? step : end - times[i]!));
    const last = out[out.length - 1];
    if (merge && last && last.text === text && last.color === s.color && last.to >= times[i]!) last.to = to;
    else out.push({ from: times[i]!, to, text, color: s.color });
  });
  return out;
}

export function StateTimeline({ panel, frames, width, range, height }: PanelProps): JSX.Element {
  const merge = panel.type === 'state-timeline' && panel.options['mergeValues'] !== false;
  const rows = frames.flatMap((fr) => {
    const t = timeField(fr);
    return t ? fr.fields.filter((f) => f !== t).map((f) => ({ name: nameOf(f, fr, frames), spans: spansOf(f, t.values as number[], range.to, merge) })) : [];
  });
  const names = panel.options['showValue'] !== 'never';
  const label = Math.min(200, width * 0.28);
  const x = (t: number) => `${(Math.max(0, Math.min(1, (t - range.from) / (range.to - range.from))) * 100).toFixed(3)}%`;
  const w = width - label - 8;
  const h = Math.max(18, Math.min(34, (height - 24) / Math.max(1, rows.length)));
  return (
    <div className="g-states" tabIndex={0} role="region" aria-label={panel.title || 'States'} data-testid="states">
      {rows.map((r, i) => (
        <div key={i} className="g-staterow" style={{ height: h, gridTemplateColumns: `${label}px minmax(0, 1fr)` }}>
          <span className="clip muted" title={r.name}>
            {r.name}
          </span>
          <span className="g-statebar">
            {r.spans.map((s, k) => (
              <i key={k} style={{ left: x(s.from), width: `calc(${x(s.to)} - ${x(s.from)})`, background: `color-mix(in srgb, ${s.color} 55%, var(--surface))` }} title={`${s.text}\n${formatTime(s.from)} to ${formatTime(s.to)}`}>
                {names && ((s.to - s.from) / (range.to - range.from)) * w > s.text.length * 7 + 6 ? s.text : ''}
              </i>
            ))}
          </span>
        </div>
      ))}
      <div className="g-stateaxis num" style={{ marginLeft: label }}>
        {[0, 0.5, 1].map((p) => (
          <span key={p}>{formatTime(range.from + p * (range.to - range.from), { date: false })}</span>
        ))}
      </div>
    </div>
  );
}

export function Pie(props: PanelProps): JSX.Element {
  const { panel, width, height } = props;
  const o = panel.options;
  const found = singles(props, () => 'var(--s0)');
  const colors = assign(found.map((s) => s.name));
  const list = found.map((s, i) => ({ s, v: Number.isFinite(s.shown.number) ? Math.max(0, s.shown.number) : 0, color: (s.field.config.color?.mode ?? 'palette-classic').startsWith('palette') && s.shown.color === 'var(--s0)' ? `var(--s${colors[i]})` : s.shown.color })).sort((a, b) => b.v - a.v);
  const total = list.reduce((a, b) => a + b.v, 0);
  const legend = obj(o['legend']);
  const legendOn = legend['showLegend'] !== false && legend['displayMode'] !== 'hidden';
  const side = legend['placement'] === 'right' || (width > height * 1.4 && legend['placement'] !== 'bottom');
  const size = Math.max(60, Math.min(side ? height : height - Math.min(height * 0.4, list.length * 20), side ? width * 0.55 : width) - 8);
  const inner = o['pieType'] === 'donut' ? 58 : 0;
  const values = arr(legend['values']).map(String);
  let at = 0;
  const arcs = list.map((x) => {
    const from = at;
    at += total > 0 ? x.v / total : 0;
    return { ...x, from, to: at };
  });
  const labels = arr(o['displayLabels']).map(String);
  return (
    <div className={`g-pie${side ? ' side' : ''}`} data-testid="pie">
      <svg width={size} height={size} viewBox="-100 -100 200 200" role="img" aria-label={`${panel.title}: ${list.slice(0, 6).map((x) => `${x.s.name} ${shownText(x.s.shown)}`).join(', ')}`}>
        {arcs.map((a, i) => (
          <path key={i} d={slice(a.from, a.to, 98, inner)} fill={a.color} stroke="var(--surface)" strokeWidth="1.5">
            <title>{`${a.s.name}: ${shownText(a.s.shown)} (${Math.round((a.to - a.from) * 100)}%)`}</title>
          </path>
        ))}
        {labels.length > 0 &&
          arcs
            .filter((a) => a.to - a.from > 0.06)
            .map((a, i) => {
              const m = ((a.from + a.to) / 2) * 2 * Math.PI;
              const text = labels.map((l) => (l === 'percent' ? `${Math.round((a.to - a.from) * 100)}%` : l === 'name' ? a.s.name : shownText(a.s.shown))).join(' ');
              return (
                <text key={i} x={Math.sin(m) * 70} y={-Math.cos(m) * 70} fontSize="9" textAnchor="middle" className="g-pielabel">
                  {text.slice(0, 22)}
                </text>
              );
            })}
      </svg>
      {legendOn && (
        <div className="g-pielegend" tabIndex={0} role="group" aria-label="Legend">
          {list.map((x, i) => (
            <span key={i}>
              <i style={{ background: x.color }} />
              <Linked links={x.s.links} className="clip">
                {x.s.name}
              </Linked>
              <span className="num muted">
                {values.includes('percent') ? `${total > 0 ? Math.round((x.v / total) * 100) : 0}%` : ''}
                {values.includes('percent') && values.includes('value') ? ' · ' : ''}
                {values.includes('value') || values.length === 0 ? shownText(x.s.shown) : ''}
              </span>
            </span>
          ))}
        </div>
      )}
    </div>
  );
}

function slice(from: number, to: number, r: number, inner: number): string {
  // A whole circle is two halves: an arc cannot end where it begins.
  if (to - from >= 0.9999) return `M0 ${-r}A${r} ${r} 0 1 1 0 ${r}A${r} ${r} 0 1 1 0 ${-r}Z${inner ? `M0 ${-inner}A${inner} ${inner} 0 1 0 0 ${inner}A${inner} ${inner} 0 1 0 0 ${-inner}Z` : ''}`;
  const p = (a: number, q: number) => `${(Math.sin(a * 2 * Math.PI) * q).toFixed(2)} ${(-Math.cos(a * 2 * Math.PI) * q).toFixed(2)}`;
  const big = to - from > 0.5 ? 1 : 0;
  return inner ? `M${p(from, r)}A${r} ${r} 0 ${big} 1 ${p(to, r)}L${p(to, inner)}A${inner} ${inner} 0 ${big} 0 ${p(from, inner)}Z` : `M0 0L${p(from, r)}A${r} ${r} 0 ${big} 1 ${p(to, r)}Z`;
}

interface Group {
  name: string;
  bars: { name: string; v: number; text: string; color: string }[];
}

/** Rows of a table with a text or time column are groups; otherwise each series is a bar. */
export function groupsOf(props: PanelProps): Group[] {
  const { frames, panel } = props;
  const table = frames.find((f) => f.kind !== 'series' && f.fields.some((c) => c.type === 'string') && numberFields(f).length > 0);
  if (table) {
    const label = table.fields.find((c) => nameOf(c, table, frames) === panel.options['xField']) ?? table.fields.find((c) => c.type === 'string')!;
    const columns = numberFields(table).filter((c) => c.config.custom['hidden'] !== true);
    const names = columns.map((c) => nameOf(c, table, frames));
    const colors = assign(names);
    return Array.from({ length: Math.min(200, rowsOf(table)) }, (_, i) => ({ name: shownText(show(label.config, label.values[i])), bars: columns.map((c, k) => bar(c, c.values[i], names[k]!, `var(--s${colors[k]})`)) }));
  }
  const list: Single[] = singles({ ...props, panel: { ...panel, options: { reduceOptions: { calcs: ['lastNotNull'] } } } }, (i) => `var(--s${i % 12})`);
  const colors = assign(list.map((s) => s.name));
  return list.map((s, i) => ({ name: s.name, bars: [bar(s.field, reduce('lastNotNull', s.field), s.name, `var(--s${colors[i]})`)] }));
}

function bar(f: Field, v: unknown, name: string, series: string) {
  const config = f.config.color ? f.config : { ...f.config, color: { mode: 'palette-classic' } };
  const s = show(config, v, series);
  return { name, v: typeof v === 'number' && Number.isFinite(v) ? v : 0, text: shownText(s), color: s.color };
}

export function BarChart(props: PanelProps): JSX.Element {
  const groups = groupsOf(props);
  const horizontal = props.panel.options['orientation'] === 'horizontal' || groups.length > props.width / 34;
  return <Bars {...props} groups={groups} horizontal={horizontal} />;
}

/** How often values fall into each of a number of equal buckets. */
export function Histogram(props: PanelProps): JSX.Element {
  const own = props.frames.find((f: Frame) => f.kind === 'heatmap');
  const fields = props.frames.flatMap(numberFields);
  const unit = fields[0]?.config.unit;
  if (own) {
    const groups = numberFields(own).map((f) => ({ name: f.name, bars: [bar(f, reduce('sum', f), 'Count', 'var(--s0)')] }));
    return <Bars {...props} groups={groups} horizontal={false} />;
  }
  const xs = fields.flatMap((f) => f.values).filter((v): v is number => typeof v === 'number' && Number.isFinite(v));
  if (xs.length === 0) return <div className="g-empty">No data</div>;
  const lo = xs.reduce((a, b) => Math.min(a, b));
  const hi = xs.reduce((a, b) => Math.max(a, b));
  const n = Math.min(30, Math.max(5, Math.ceil(Math.sqrt(xs.length))));
  const size = (hi - lo) / n || 1;
  const counts = new Array<number>(n).fill(0);
  for (const x of xs) counts[Math.min(n - 1, Math.floor((x - lo) / size))]!++;
  return <Bars {...props} groups={counts.map((c, i) => ({ name: unitText(lo + i * size, unit), bars: [{ name: 'Count', v: c, text: String(c), color: 'var(--s0)' }] }))} horizontal={false} />;
}

function Bars({ panel, groups, horizontal, width, height }: PanelProps & { groups: Group[]; horizontal: boolean }): JSX.Element {
  const stack = str(panel.options['stacking']) === 'normal' || str(panel.options['stacking']) === 'percent';
  const totals = groups.map((g) => (stack ? g.bars.reduce((a, b) => a + Math.max(0, b.v), 0) : g.bars.reduce((a, b) => Math.max(a, b.v), 0)));
  const max = totals.reduce((a, b) => Math.max(a, b), 0) || 1;
  const size = (v: number) => `${Math.max(0, (v / max) * 100).toFixed(2)}%`;
  return (
    <div className={`g-barchart ${horizontal ? 'horizontal' : 'vertical'}`} tabIndex={0} role="region" aria-label={panel.title || 'Bar chart'} style={{ width, height }} data-testid="barchart">
      {groups.map((g, i) => (
        <div key={i} className="g-group">
          <span className="g-barname clip" title={g.name}>
            {g.name}
          </span>
          <span className={`g-groupbars${stack ? ' stack' : ''}`}>
            {g.bars.map((b, k) => (
              <span key={k} style={horizontal ? { width: size(b.v), background: b.color } : { height: size(b.v), background: b.color }} title={`${g.name} ${b.name}: ${b.text}`} />
            ))}
          </span>
          {g.bars.length === 1 && horizontal && <span className="num g-barvalue">{g.bars[0]!.text}</span>}
        </div>
      ))}
    </div>
  );
}
