/**
 * A map of calls: layered by dagre from left to right, or downwards where the page is high, and drawn as SVG. The ring
 * of a node shows its share of errors, the width of an edge its rate. Wheel zooms, drag moves, Tab goes from node to node.
 */
import './graph.css';
import { graphlib, layout } from '@dagrejs/dagre';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { JSX, PointerEvent } from 'react';
import { token } from '@/app/theme';
import { serviceColor } from '@/core/palette/palette';
import type { Edge, Graph, Node } from '@/core/services/graph';
import { formatValue, seconds } from '@/core/units/units';

const nodeW = 188;
const nodeH = 46;

/** Pixels of the drawer beside the map. */
const cover = 340;

interface Placed {
  nodes: { n: Node; x: number; y: number }[];
  edges: { e: Edge; d: string; mid: { x: number; y: number } }[];
  width: number;
  height: number;
}

function place(g: Graph, rankdir: 'LR' | 'TB'): Placed {
  const d = new graphlib.Graph({ multigraph: false });
  d.setGraph({ rankdir, nodesep: 22, ranksep: 48, marginx: 16, marginy: 16 });
  d.setDefaultEdgeLabel(() => ({}));
  for (const n of g.nodes) d.setNode(n.id, { width: nodeW, height: nodeH });
  for (const e of g.edges) if (e.from !== e.to) d.setEdge(e.from, e.to);
  layout(d);
  const nodes = g.nodes.map((n) => {
    const at = d.node(n.id) as { x: number; y: number };
    return { n, x: at.x, y: at.y };
  });
  const edges = g.edges
    .filter((e) => e.from !== e.to)
    .map((e) => {
      const points = (d.edge(e.from, e.to) as { points: { x: number; y: number }[] }).points;
      return { e, d: curve(points), mid: points[Math.floor(points.length / 2)]! };
    });
  const size = d.graph() as { width?: number; height?: number };
  return { nodes, edges, width: Math.max(nodeW, size.width ?? 0), height: Math.max(nodeH, size.height ?? 0) };
}

/** A smooth line through the bends. */
function curve(p: { x: number; y: number }[]): string {
  let d = `M${p[0]!.x.toFixed(1)} ${p[0]!.y.toFixed(1)}`;
  for (let i = 1; i < p.length - 1; i++) {
    const x = (p[i]!.x + p[i + 1]!.x) / 2;
    const y = (p[i]!.y + p[i + 1]!.y) / 2;
    d += `Q${p[i]!.x.toFixed(1)} ${p[i]!.y.toFixed(1)} ${(i === p.length - 2 ? p[i + 1]!.x : x).toFixed(1)} ${(i === p.length - 2 ? p[i + 1]!.y : y).toFixed(1)}`;
  }
  if (p.length === 2) d += `L${p[1]!.x.toFixed(1)} ${p[1]!.y.toFixed(1)}`;
  return d;
}

interface View {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface GraphProps {
  graph: Graph;
  selected: string | undefined;
  onSelect: (id: string | undefined) => void;
  label: string;
  /** Written under the name; rate and duration when absent. */
  detail?: (n: Node) => string;
  edgeDetail?: (e: Edge) => string;
}

export default function GraphView({ graph, selected, onSelect, label, detail, edgeDetail }: GraphProps): JSX.Element {
  const box = useRef<SVGSVGElement>(null);
  const [size, setSize] = useState({ w: 900, h: 500 });
  // Calls go to the right, and downwards where there is more room below.
  const direction = size.h > size.w ? 'TB' : 'LR';
  const placed = useMemo(() => place(graph, direction), [graph, direction]);
  const fit = useMemo(() => fitted(placed, size), [placed, size]);
  const [view, setView] = useState<View>();
  const [hover, setHover] = useState<string>();
  const [edge, setEdge] = useState(-1);
  useEffect(() => setView(undefined), [fit]);
  const v = view ?? fit;
  const now = useRef(v);
  now.current = v;
  // The drawer covers the right side: a node under it moves into view.
  useEffect(() => {
    const at = placed.nodes.find((p) => p.n.id === selected);
    if (!at) return;
    const scale = now.current.w / size.w;
    const right = now.current.x + now.current.w - (cover + 20) * scale;
    const over = at.x + nodeW / 2 - right;
    if (over > 0) setView({ ...now.current, x: now.current.x + over });
  }, [selected, placed, size.w]);

  useEffect(() => {
    const el = box.current!;
    const ro = new ResizeObserver(() => setSize({ w: Math.max(100, el.clientWidth), h: Math.max(100, el.clientHeight) }));
    ro.observe(el);
    return () => ro.disconnect();
  }, []);

  useEffect(() => {
    const el = box.current!;
    // React's wheel handler is passive and could not keep the page from scrolling.
    const onWheel = (e: WheelEvent) => {
      e.preventDefault();
      const r = el.getBoundingClientRect();
      zoom(e.deltaY > 0 ? 1.15 : 1 / 1.15, (e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height);
    };
    el.addEventListener('wheel', onWheel, { passive: false });
    return () => el.removeEventListener('wheel', onWheel);
  }, []);
  const zoom = (f: number, fx = 0.5, fy = 0.5) => {
    const c = now.current;
    const w = Math.max(200, Math.min(20_000, c.w * f));
    const h = (w / c.w) * c.h;
    setView({ w, h, x: c.x + (c.w - w) * fx, y: c.y + (c.h - h) * fy });
  };
  const drag = useRef<{ x: number; y: number; v: View } | undefined>(undefined);
  const move = (e: PointerEvent<SVGSVGElement>) => {
    const d = drag.current;
    if (!d) return;
    const r = box.current!.getBoundingClientRect();
    setView({ ...d.v, x: d.v.x - ((e.clientX - d.x) / r.width) * d.v.w, y: d.v.y - ((e.clientY - d.y) / r.height) * d.v.h });
  };

  const near = hover ?? selected;
  const maxRate = Math.max(1e-9, ...graph.edges.map((e) => e.rate));
  const dimEdge = (e: Edge) => near !== undefined && e.from !== near && e.to !== near;
  const neighbours = useMemo(() => new Set(graph.edges.filter((e) => e.from === near || e.to === near).flatMap((e) => [e.from, e.to])), [graph, near]);
  return (
    <div className="graphview">
      <svg
        ref={box}
        viewBox={`${v.x} ${v.y} ${v.w} ${v.h}`}
        role="group"
        aria-label={label}
        data-testid="graph"
        onPointerDown={(e) => {
          if ((e.target as Element).closest('.gnode')) return;
          e.currentTarget.setPointerCapture(e.pointerId);
          drag.current = { x: e.clientX, y: e.clientY, v };
        }}
        onPointerMove={move}
        onPointerUp={(e) => {
          const d = drag.current;
          drag.current = undefined;
          if (d && Math.abs(e.clientX - d.x) + Math.abs(e.clientY - d.y) < 4) onSelect(undefined);
        }}
      >
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">
            <path d="M0 0.5 7.5 4 0 7.5z" fill="context-stroke" />
          </marker>
        </defs>
        {placed.edges.map(({ e, d }, k) => (
          <g key={`${e.from}\n${e.to}\n${e.kind}`} className="gedge" data-dim={dimEdge(e) || undefined} data-bad={e.errors >= 0.01 || undefined}>
            <path d={d} strokeWidth={1 + 5 * (Math.log1p(e.rate) / Math.log1p(maxRate))} markerEnd="url(#arrow)" />
            <path className="hit" d={d} onPointerEnter={() => setEdge(k)} onPointerLeave={() => setEdge(-1)} />
          </g>
        ))}
        {placed.nodes.map(({ n, x, y }) => (
          <NodeShape key={n.id} n={n} x={x} y={y} detail={detail} selected={n.id === selected} dim={near !== undefined && n.id !== near && !neighbours.has(n.id)} onHover={setHover} onSelect={onSelect} />
        ))}
        {placed.edges[edge] && (
          <text className="edgetext" x={placed.edges[edge].mid.x} y={placed.edges[edge].mid.y - 8} textAnchor="middle">
            {`${placed.edges[edge].e.from} → ${placed.edges[edge].e.to}: ${(edgeDetail ?? edgeText)(placed.edges[edge].e)}`}
          </text>
        )}
      </svg>
      <div className="group zoomers">
        <button type="button" className="btn small icon" aria-label="Zoom in" onClick={() => zoom(1 / 1.3)}>
          +
        </button>
        <button type="button" className="btn small icon" aria-label="Zoom out of the map" onClick={() => zoom(1.3)}>
          −
        </button>
        <button type="button" className="btn small" onClick={() => setView(undefined)}>
          Fit
        </button>
      </div>
    </div>
  );
}

function edgeText(e: Edge): string {
  return `${formatValue(e.rate, 'perSecond')}${e.errors >= 0.001 ? ` · ${formatValue(e.errors, 'ratio')} failed` : ''}${e.p95 !== undefined ? ` · p95 ${seconds(e.p95)}` : ''}`;
}

/** Everything on the screen, but never larger than life. */
function fitted(p: Placed, size: { w: number; h: number }): View {
  const scale = Math.max(p.width / size.w, p.height / size.h, 0.8);
  const w = size.w * scale;
  const h = size.h * scale;
  return { x: (p.width - w) / 2, y: (p.height - h) / 2, w, h };
}

interface NodeProps {
  n: Node;
  x: number;
  y: number;
  detail: ((n: Node) => string) | undefined;
  selected: boolean;
  dim: boolean;
  onHover: (id: string | undefined) => void;
  onSelect: (id: string) => void;
}

const ring = 2 * Math.PI * 14;
const textX = 46;

let pen: CanvasRenderingContext2D | null | undefined;

/** Pixels of a text; a guess where there is no canvas. */
function textWidth(text: string, size: number, weight = 400): number {
  pen ??= document.createElement('canvas').getContext('2d');
  if (!pen) return text.length * size * 0.56;
  pen.font = `${weight} ${size}px ${token('--font')}`;
  return pen.measureText(text).width;
}

/** A text with its end cut off where it would not fit. */
function clipped(text: string, room: number, size: number, weight = 400): string {
  if (textWidth(text, size, weight) <= room) return text;
  let n = text.length - 1;
  while (n > 1 && textWidth(`${text.slice(0, n)}…`, size, weight) > room) n--;
  return `${text.slice(0, n)}…`;
}

function NodeShape({ n, x, y, detail, selected, dim, onHover, onSelect }: NodeProps): JSX.Element {
  const name = n.kind === 'group' ? n.namespace : n.id;
  const share = Math.min(1, Math.max(0, n.errors));
  const bad = share >= 0.001 ? ` ${Number((share * 100).toPrecision(2))}%` : '';
  const rate = formatValue(n.rate, 'perSecond');
  const whole = detail?.(n) ?? `${rate}${n.p95 !== undefined ? ` · ${seconds(n.p95)}` : ''}`;
  // The share of errors is always there to read; what does not fit beside it goes.
  const room = nodeW - textX - 10;
  const left = room - textWidth(bad, 11.5, 600);
  const text = textWidth(whole, 11.5) <= left ? whole : detail ? clipped(whole, left, 11.5) : rate;
  const shown = clipped(name, room, 13, 550);
  return (
    <g
      className="gnode"
      transform={`translate(${x - nodeW / 2} ${y - nodeH / 2})`}
      data-selected={selected || undefined}
      data-dim={dim || undefined}
      data-kind={n.kind}
      tabIndex={0}
      role="button"
      aria-pressed={selected}
      onPointerEnter={() => onHover(n.id)}
      onPointerLeave={() => onHover(undefined)}
      onFocus={() => onHover(n.id)}
      onBlur={() => onHover(undefined)}
      onClick={() => onSelect(n.id)}
      onKeyDown={(e) => {
        if (e.key !== 'Enter' && e.key !== ' ') return;
        e.preventDefault();
        onSelect(n.id);
      }}
    >
      {n.kind === 'group' && <rect className="stack" x={5} y={-5} width={nodeW - 5} height={nodeH} rx={8} />}
      <rect className="body" width={nodeW} height={nodeH} rx={n.kind === 'external' ? 23 : 8} />
      <circle className="ring" cx={24} cy={23} r={14} />
      {share > 0.0005 && <circle className="ringbad" cx={24} cy={23} r={14} strokeDasharray={`${Math.max(2, share * ring)} ${ring}`} transform="rotate(-90 24 23)" />}
      <Glyph kind={n.kind} color={n.kind === 'service' ? `var(--s${serviceColor(n.id)})` : 'var(--muted)'} count={n.members.length} />
      <text className="gname" x={textX} y={20}>
        {shown}
        {shown !== name && <title>{name}</title>}
      </text>
      <text className="gdetail" x={textX} y={35}>
        {text}
        {bad && <tspan className="gbad">{bad}</tspan>}
        {text !== whole && <title>{whole + bad}</title>}
      </text>
    </g>
  );
}

/** What kind of thing a node is, by shape and not by colour. */
function Glyph({ kind, color, count }: { kind: Node['kind']; color: string; count: number }): JSX.Element {
  const stroke = { fill: 'none', stroke: color, strokeWidth: 1.4 };
  if (kind === 'group') {
    return (
      <text x={24} y={27} textAnchor="middle" className="gcount">
        {count}
      </text>
    );
  }
  if (kind === 'database') return <path d="M18.5 19.5c0-3 11-3 11 0v7c0 3-11 3-11 0zM18.5 19.5c0 3 11 3 11 0" {...stroke} />;
  if (kind === 'queue') return <path d="M17.5 19h3v8h-3zM22.5 19h3v8h-3zM27.5 19h3v8h-3z" {...stroke} />;
  if (kind === 'external') return <path d="M24 17a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM18 23h12M24 17c-4 3-4 9 0 12M24 17c4 3 4 9 0 12" {...stroke} />;
  return <circle cx={24} cy={23} r={6} fill={color} />;
}
