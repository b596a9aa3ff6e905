/**
 * JSON as text: where every value stands, what is wrong where, and changes that leave every byte alone that they do not
 * mean. A dashboard is kept as its author wrote it; a form changes the few members that it shows.
 */
import type { Json } from './model';

/** What is wrong with a text, and where. */
export class JsonError extends Error {
  constructor(
    message: string,
    readonly offset: number,
    readonly line: number,
    readonly col: number,
  ) {
    super(message);
  }
}

interface Node {
  from: number;
  to: number;
  value: unknown;
  /** Of an object, in order. */
  members?: Member[];
  /** Of an array. */
  items?: Node[];
}

interface Member {
  key: string;
  /** Where the key begins. */
  from: number;
  node: Node;
}

/** The line and column of an offset, both from 1. */
export function placeOf(text: string, offset: number): { line: number; col: number } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, col: offset - before.lastIndexOf('\n') };
}

const maxDepth = 200;

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  document(): Node {
    this.space();
    const node = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail('Nothing may follow the end of the value');
    return node;
  }

  private fail(message: string, at = this.at): never {
    const { line, col } = placeOf(this.text, at);
    throw new JsonError(message, at, line, col);
  }

  private space(): void {
    while (' \t\n\r'.includes(this.text[this.at] ?? 'x')) this.at++;
  }

  private value(depth: number): Node {
    if (depth > maxDepth) this.fail(`More than ${maxDepth} values inside each other`);
    const c = this.text[this.at];
    if (c === '{') return this.object(depth);
    if (c === '[') return this.array(depth);
    const from = this.at;
    if (c === '"') return { from, value: this.string(), to: this.at };
    const word = /[-+\w.]+/y;
    word.lastIndex = from;
    const text = word.exec(this.text)?.[0] ?? '';
    this.at = from + text.length;
    switch (text) {
      case '':
        return this.fail(c === undefined ? 'The text ends where a value is expected' : `A value is expected, not ${c}`);
      case 'true':
      case 'false':
        return { from, to: this.at, value: text === 'true' };
      case 'null':
        return { from, to: this.at, value: null };
    }
    if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(text)) this.fail(`${text} is no value; texts stand in double quotes`, from);
    return { from, to: this.at, value: Number(text) };
  }

  private string(): string {
    const from = this.at++;
    for (;;) {
      const c = this.text[this.at];
      if (c === undefined || c === '\n') this.fail('This text has no closing quote', from);
      if (c < ' ') this.fail('A control character must be escaped in a text');
      this.at++;
      if (c === '\\') this.at++;
      if (c === '"') break;
    }
    try {
      return JSON.parse(this.text.slice(from, this.at)) as string;
    } catch {
      return this.fail('This text has an escape that JSON does not know', from);
    }
  }

  private object(depth: number): Node {
    const from = this.at++;
    const members: Member[] = [];
    const value: Json = {};
    this.list('}', () => {
      const start = this.at;
      if (this.text[start] !== '"') this.fail('The name of a member in double quotes is expected');
      const key = this.string();
      this.space();
      if (this.text[this.at] !== ':') this.fail(`A colon is expected after "${key}"`);
      this.at++;
      this.space();
      const node = this.value(depth + 1);
      members.push({ key, from: start, node });
      Object.defineProperty(value, key, { value: node.value, enumerable: true, writable: true, configurable: true });
    });
    return { from, to: this.at, value, members };
  }

  private array(depth: number): Node {
    const from = this.at++;
    const items: Node[] = [];
    this.list(']', () => void items.push(this.value(depth + 1)));
    return { from, to: this.at, value: items.map((i) => i.value), items };
  }

  /** What stands between brackets, with commas in between. */
  private list(end: string, one: () => void): void {
    this.space();
    if (this.text[this.at] === end) {
      this.at++;
      return;
    }
    for (;;) {
      one();
      this.space();
      const c = this.text[this.at];
      if (c === end) {
        this.at++;
        return;
      }
      if (c !== ',') this.fail(c === undefined ? `The text ends before the closing ${end}` : `A comma or ${end} is expected, not ${c}`);
      this.at++;
      this.space();
      if (this.text[this.at] === end) this.fail(`No comma may stand before ${end}`);
    }
  }
}

/** The value of a text. Throws a {@link JsonError}. */
export const parseText = (text: string): unknown => new Parser(text).document().value;

export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const x = Object.entries(a).filter(([, v]) => v !== undefined);
  const y = b as Json;
  return x.length === Object.values(y).filter((v) => v !== undefined).length && x.every(([k, v]) => Object.hasOwn(y, k) && equal(v, y[k]));
}

/**
 * The text with `before` turned into `after`, where `before` is what the text says once it has been migrated. Members
 * that did not change keep their bytes, and those that only the migration changed stay unmigrated.
 */
export function patchText(text: string, before: unknown, after: unknown): string {
  const root = new Parser(text).document();
  const pretty = /[{[]\s*\n[ \t]+/.test(text);
  const unit = /[{[][^\S\n]*\r?\n([ \t]+)/.exec(text)?.[1] ?? '  ';
  const w = new Writer(text, pretty ? unit : '');
  return text.slice(0, root.from) + w.write(root, before, after, '') + text.slice(root.to);
}

class Writer {
  constructor(
    private readonly text: string,
    /** One step of indentation; empty when the text has no lines. */
    private readonly unit: string,
  ) {}

  private fresh(value: unknown, indent: string): string {
    return JSON.stringify(value, null, this.unit).replaceAll('\n', `\n${indent}`);
  }

  /** The text of a node. `indent` stands before the line that the node is on. */
  write(node: Node, before: unknown, after: unknown, indent: string): string {
    if (equal(before, after)) return this.text.slice(node.from, node.to);
    if (node.members && isObject(before) && isObject(after)) return this.object(node, node.members, before, after, indent);
    if (node.items && Array.isArray(before) && Array.isArray(after) && node.items.length === before.length) return this.array(node, node.items, before, after, indent);
    return this.fresh(after, indent);
  }

  private object(node: Node, members: Member[], before: Json, after: Json, indent: string): string {
    const own = new Map(members.map((m) => [m.key, m]));
    const changed = new Set([...Object.keys(before), ...Object.keys(after)].filter((k) => !equal(before[k], after[k])));
    // Where a change meets what the migration made, the whole object goes into today's form.
    const kind = own.get('type')?.node.value;
    const local = equal(kind, before['type']) && [...changed].every((k) => (before[k] === undefined ? !own.has(k) : own.has(k) && alike(own.get(k)!.node.value, before[k])));
    const inner = indent + this.unit;
    const keeps = (m: Member) => (local ? !changed.has(m.key) || after[m.key] !== undefined : after[m.key] !== undefined);
    const value = (m: Member) => {
      if (own.get(m.key) !== m) return this.text.slice(m.node.from, m.node.to);
      if (local) return changed.has(m.key) ? this.write(m.node, before[m.key], after[m.key], inner) : this.text.slice(m.node.from, m.node.to);
      return this.write(m.node, m.node.value, after[m.key], inner);
    };
    const added = Object.keys(after).filter((k) => after[k] !== undefined && !own.has(k) && (!local || changed.has(k)));
    if (added.length === 0 && members.every(keeps)) return this.inPlace(node, members.map((m) => [m.node, value(m)]));
    const first = members[0];
    const colon = first ? this.text.slice(first.from, first.node.from).replace(/^"(?:[^"\\]|\\.)*"/, '') : this.unit ? ': ' : ':';
    const parts: Part[] = members.flatMap((m, own) => (keeps(m) ? [{ own, text: this.text.slice(m.from, m.node.from) + value(m) }] : []));
    parts.push(...added.map((k) => ({ own: -1, text: JSON.stringify(k) + colon + this.fresh(after[k], inner) })));
    return this.enclose(node, members.map((m) => ({ from: m.from, to: m.node.to })), parts, indent);
  }

  private array(node: Node, items: Node[], before: unknown[], after: unknown[], indent: string): string {
    const inner = indent + this.unit;
    const from = matched(before, after);
    const text = (v: unknown, k: number) => (from[k]! < 0 ? this.fresh(v, inner) : this.write(items[from[k]!]!, before[from[k]!], v, inner));
    if (after.length === items.length && from.every((i, k) => i === k)) return this.inPlace(node, items.map((item, k) => [item, text(after[k], k)]));
    return this.enclose(node, items, after.map((v, k) => ({ own: from[k]!, text: text(v, k) })), indent);
  }

  /** The node with the text of some of its parts replaced. */
  private inPlace(node: Node, parts: [Node, string][]): string {
    let out = '';
    let at = node.from;
    for (const [part, text] of parts) {
      out += this.text.slice(at, part.from) + text;
      at = part.to;
    }
    return out + this.text.slice(at, node.to);
  }

  /** Parts between the brackets of a node. Neighbours keep what is between them; the rest is spaced as they are. */
  private enclose(node: Node, own: { from: number; to: number }[], parts: Part[], indent: string): string {
    const open = this.text[node.from]!;
    const close = this.text[node.to - 1]!;
    if (parts.length === 0) return open + close;
    const lead = own.length > 0 ? this.text.slice(node.from + 1, own[0]!.from) : this.unit ? `\n${indent}${this.unit}` : '';
    const tail = own.length > 0 ? this.text.slice(own[own.length - 1]!.to, node.to - 1) : this.unit ? `\n${indent}` : '';
    const between = (i: number) => this.text.slice(own[i - 1]!.to, own[i]!.from);
    const gap = own.length > 1 ? between(own.length - 1) : lead === '' && this.unit ? ', ' : `,${lead}`;
    const all = parts.map((p, k) => (k === 0 ? '' : p.own > 0 && parts[k - 1]!.own === p.own - 1 ? between(p.own) : gap) + p.text);
    return open + lead + all.join('') + tail + close;
  }
}

/** A member or element with the place that it had in the text; -1 is new. */
interface Part {
  own: number;
  text: string;
}

const isObject = (x: unknown): x is Json => typeof x === 'object' && x !== null && !Array.isArray(x);

/** Whether a part can be changed inside: the migration left it alone, or only changed what is further in. */
const alike = (own: unknown, before: unknown): boolean => equal(own, before) || (isObject(own) && isObject(before)) || (Array.isArray(own) && Array.isArray(before) && own.length === before.length);

/** What identifies an element of a list: panels, targets, variables, annotations. */
function identity(x: unknown): string | undefined {
  if (!isObject(x)) return undefined;
  const id = x['id'] ?? x['refId'] ?? x['name'];
  return typeof id === 'string' || typeof id === 'number' ? `${typeof id}${id}` : undefined;
}

/** For every element of `after` the index of the same one in `before`, or -1. */
function matched(before: unknown[], after: unknown[]): number[] {
  const ids = before.map(identity);
  const unique = (list: (string | undefined)[]) => list.every((id) => id !== undefined) && new Set(list).size === list.length;
  if (unique(ids) && unique(after.map(identity))) {
    const out = after.map((x) => ids.indexOf(identity(x)));
    // One that only got another name is the same one.
    if (after.length === before.length) return out.map((i, k) => (i < 0 && !out.includes(k) ? k : i));
    return out;
  }
  if (after.length === before.length) return after.map((_, k) => k);
  const free = new Set(before.keys());
  return after.map((x) => {
    const i = [...free].find((k) => equal(before[k], x)) ?? -1;
    free.delete(i);
    return i;
  });
}
