/** Stat, gauge and bar gauge: one value each, as big as it fits. */
import type { JSX } from 'react';
import { assign } from '@/core/palette/palette';
import { isNull, timeField } from '../frames';
import { obj, str } from '../model';
import { cssColor, textColor, thresholdColor, valueColor } from '../color';
import { unitText } from '../units';
import { Linked, singles } from './parts';
import type { Single } from './parts';
import type { PanelProps } from './context';

const paletteOf = (i: number, name: string) => `var(--s${assign([name])[0] ?? i})`;

/** Columns and rows that make cells of the best shape. */
function gridFor(n: number, width: number, height: number, orientation: string, ratio: number): { cols: number; rows: number } {
  if (orientation === 'vertical') return { cols: n, rows: 1 };
  if (orientation === 'horizontal') return { cols: 1, rows: n };
  let best = { cols: 1, rows: n, score: -1 };
  for (let cols = 1; cols <= n; cols++) {
    const rows = Math.ceil(n / cols);
    const w = width / cols;
    const h = height / rows;
    const score = Math.min(w, h * ratio) - (cols * rows - n) * 2;
    if (score > best.score) best = { cols, rows, score };
  }
  return best;
}

function Value({ s, size }: { s: Single; size: number }): JSX.Element {
  return (
    <span className="num" style={{ fontSize: size }}>
      {s.shown.prefix && <span style={{ fontSize: size * 0.7 }}>{s.shown.prefix}</span>}
      {s.shown.text}
      {s.shown.suffix && <span style={{ fontSize: size * 0.62, marginLeft: 1 }}>{s.shown.suffix}</span>}
    </span>
  );
}

export function Stat(props: PanelProps): JSX.Element {
  const { panel, width, height } = props;
  const o = panel.options;
  const list = singles(props, paletteOf).slice(0, 60);
  const { cols, rows } = gridFor(list.length, width, height, str(o['orientation']) ?? 'auto', 2.2);
  const w = (width - (cols - 1) * 6) / cols;
  const h = (height - (rows - 1) * 6) / rows;
  const mode = str(o['colorMode']) ?? 'value';
  const text = str(o['textMode']) ?? 'auto';
  const graph = (str(o['graphMode']) ?? 'area') === 'area' && obj(o['reduceOptions'])['values'] !== true;
  return (
    <div className="g-cells" style={{ gridTemplateColumns: `repeat(${cols}, minmax(0, 1fr))`, gridTemplateRows: `repeat(${rows}, minmax(0, 1fr))` }}>
      {list.map((s, i) => {
        const named = text === 'name' || text === 'value_and_name' || (text === 'auto' && list.length > 1);
        const valued = text !== 'name' && text !== 'none';
        const chars = (s.shown.text.length + s.shown.suffix.length * 0.7 + 1) * 0.6;
        const wide = w / Math.max(1, h) > 3.2 && named && valued;
        const size = Math.max(13, Math.min((wide ? w * 0.5 : w * 0.9) / Math.max(1.2, chars), h * (named && !wide ? 0.42 : 0.5), 64));
        const background = mode.startsWith('background');
        return (
          <div key={`${i}:${s.name}`} className={`g-stat${wide ? ' wide' : ''}`} style={background ? { background: `color-mix(in srgb, ${s.shown.color} 30%, var(--surface))`, boxShadow: `inset 3px 0 0 ${s.shown.color}` } : {}} data-testid="stat">
            {graph && h > 44 && <Sparkline single={s} color={s.shown.color} />}
            {named && (
              <span className="g-statname clip" style={{ fontSize: Math.max(11, Math.min(15, h * 0.16)) }} title={s.name}>
                {s.name}
              </span>
            )}
            {valued && (
              <Linked links={s.links} className="g-statvalue">
                <span style={{ color: mode === 'value' ? textColor(s.shown.color) : 'var(--text)' }}>
                  <Value s={s} size={size} />
                </span>
              </Linked>
            )}
          </div>
        );
      })}
    </div>
  );
}

function Sparkline({ single, color }: { single: Single; color: string }): JSX.Element | null {
  const times = timeField(single.frame)?.values as number[] | undefined;
  const values = single.field.values;
  if (!times || values.length < 2) return null;
  const [t0, t1] = [times[0]!, times[times.length - 1]!];
  const xs = values.filter((v): v is number => typeof v === 'number' && Number.isFinite(v));
  if (xs.length < 2) return null;
  const lo = single.field.config.min ?? Math.min(...xs);
  const hi = single.field.config.max ?? Math.max(...xs);
  const y = (v: number) => 38 - (hi === lo ? 0.5 : (v - lo) / (hi - lo)) * 34;
  let d = '';
  values.forEach((v, i) => {
    if (typeof v === 'number' && Number.isFinite(v)) d += `${d ? 'L' : 'M'}${(((times[i]! - t0) / (t1 - t0 || 1)) * 200).toFixed(1)} ${y(v).toFixed(1)}`;
  });
  return (
    <svg className="g-spark" viewBox="0 0 200 40" preserveAspectRatio="none" aria-hidden="true">
      <path d={`${d}L200 40L0 40Z`} fill={color} opacity=".13" />
      <path d={d} fill="none" stroke={color} strokeWidth="1.5" opacity=".75" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

const share = (s: Single): number => (Number.isNaN(s.shown.number) || s.max === s.min ? 0 : Math.max(0, Math.min(1, (s.shown.number - s.min) / (s.max - s.min))));

/** The colour of the scale at a share of it. */
const scaleColor = (s: Single, at: number): string => valueColor(s.field.config, s.min + at * (s.max - s.min), s.shown.color, s.min, s.max);

export function Gauge(props: PanelProps): JSX.Element {
  const { panel, width, height } = props;
  const list = singles(props, paletteOf).slice(0, 40);
  const { cols, rows } = gridFor(list.length, width, height, str(panel.options['orientation']) ?? 'auto', 1.3);
  const labels = panel.options['showThresholdLabels'] === true;
  const markers = panel.options['showThresholdMarkers'] !== false;
  const h = height / rows;
  return (
    <div className="g-cells" style={{ gridTemplateColumns: `repeat(${cols}, minmax(0, 1fr))`, gridTemplateRows: `repeat(${rows}, minmax(0, 1fr))` }}>
      {list.map((s, i) => {
        const at = share(s);
        const steps = s.field.config.thresholds?.steps ?? [];
        const toShare = (v: number) => (s.field.config.thresholds?.mode === 'percentage' ? v / 100 : (v - s.min) / (s.max - s.min || 1));
        return (
          <div key={`${i}:${s.name}`} className="g-gauge" data-testid="gauge">
            <svg viewBox="0 0 200 132" role="img" aria-label={`${s.name}: ${s.shown.prefix}${s.shown.text}${s.shown.suffix}`}>
              <path d={arc(80, 0, 1)} fill="none" stroke="var(--raised)" strokeWidth="20" />
              {at > 0 && <path d={arc(80, 0, at)} fill="none" stroke={s.shown.color} strokeWidth="20" />}
              {markers &&
                steps.map((t, k) => {
                  const from = Math.max(0, Math.min(1, Number.isFinite(t.value) ? toShare(t.value) : 0));
                  const to = Math.max(0, Math.min(1, steps[k + 1] ? toShare(steps[k + 1]!.value) : 1));
                  return to > from ? <path key={k} d={arc(94, from, to)} fill="none" stroke={cssColor(t.color)} strokeWidth="4" /> : null;
                })}
              {labels &&
                steps
                  .filter((t) => Number.isFinite(t.value))
                  .map((t) => {
                    const [x, y] = point(104, toShare(t.value));
                    return (
                      <text key={t.value} x={x} y={y} fontSize="9" textAnchor="middle" fill="var(--muted)">
                        {unitText(t.value, s.field.config.unit, s.field.config.decimals)}
                      </text>
                    );
                  })}
            </svg>
            <div className="g-gaugetext">
              <Linked links={s.links} className="g-statvalue">
                <span style={{ color: textColor(s.shown.color) }}>
                  <Value s={s} size={Math.max(13, Math.min(h * 0.2, 34, (width / cols) * 0.16))} />
                </span>
              </Linked>
              {(list.length > 1 || str(props.panel.options['text'])) && (
                <span className="muted clip" title={s.name}>
                  {s.name}
                </span>
              )}
            </div>
          </div>
        );
      })}
    </div>
  );
}

// The dial runs from 210° to -30°.
const angle = (at: number) => ((210 - at * 240) * Math.PI) / 180;
function point(r: number, at: number): [number, number] {
  return [100 + r * Math.cos(angle(at)), 96 - r * Math.sin(angle(at))];
}
function arc(r: number, from: number, to: number): string {
  const [x0, y0] = point(r, from);
  const [x1, y1] = point(r, to);
  return `M${x0.toFixed(2)} ${y0.toFixed(2)}A${r} ${r} 0 ${(to - from) * 240 > 180 ? 1 : 0} 1 ${x1.toFixed(2)} ${y1.toFixed(2)}`;
}

export function BarGauge(props: PanelProps): JSX.Element {
  const { panel, width, height } = props;
  const o = panel.options;
  const list = singles(props, paletteOf).slice(0, 100);
  const orientation = str(o['orientation']) ?? 'auto';
  const vertical = orientation === 'vertical' || (orientation === 'auto' && width > height * 1.2 && list.length * 60 < width);
  const mode = str(o['displayMode']) ?? 'gradient';
  return (
    <div className={`g-bars ${vertical ? 'vertical' : 'horizontal'}`} tabIndex={0} role="group" aria-label={panel.title || 'Bars'}>
      {list.map((s, i) => {
        const at = isNull(s.shown.number) ? 0 : share(s);
        const pct = `${(at * 100).toFixed(2)}%`;
        const color = mode === 'gradient' ? `linear-gradient(${vertical ? '0deg' : '90deg'}, ${[0, 0.25, 0.5, 0.75, 1].map((k) => `${scaleColor(s, k * at)} ${k * 100}%`).join(', ')})` : s.shown.color;
        return (
          <div key={`${i}:${s.name}`} className="g-bar" data-testid="bargauge">
            <span className="g-barname clip" title={s.name}>
              {s.name}
            </span>
            <span className="g-bartrack">
              {mode === 'lcd' ? (
                <Cells single={s} vertical={vertical} at={at} />
              ) : (
                <span className="g-barfill" style={vertical ? { height: pct, background: color } : { width: pct, background: color }} />
              )}
            </span>
            <Linked links={s.links} className="g-barvalue num">
              <span style={{ color: textColor(s.shown.color) }}>{`${s.shown.prefix}${s.shown.text}${s.shown.suffix}`}</span>
            </Linked>
          </div>
        );
      })}
    </div>
  );
}

function Cells({ single, at, vertical }: { single: Single; at: number; vertical: boolean }): JSX.Element {
  const n = 30;
  const list = Array.from({ length: n }, (_, i) => (vertical ? n - 1 - i : i));
  return (
    <span className="g-lcd">
      {list.map((i) => (
        <i key={i} style={{ background: single.field.config.color?.mode?.startsWith('palette') ? single.shown.color : single.field.config.color?.mode === 'thresholds' || !single.field.config.color ? thresholdColor(single.field.config.thresholds, single.min + ((i + 1) / n) * (single.max - single.min), single.min, single.max) : scaleColor(single, i / n), opacity: i / n < at ? 1 : 0.16 }} />
      ))}
    </span>
  );
}
