/** A line diff that shows what differs with a little around it. */

export interface DiffLine {
  kind: '+' | '-' | ' ' | '…';
  text: string;
}

const around = 2;
/** Beyond this many differing lines the middle is shown as replaced as a whole. */
const most = 3000;

export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split('\n');
  const b = after.split('\n');
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = compare(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const all: DiffLine[] = [...a.slice(0, head).map(same), ...middle, ...a.slice(a.length - tail).map(same)];
  return shorten(all);
}

const same = (text: string): DiffLine => ({ kind: ' ', text });

function compare(a: string[], b: string[]): DiffLine[] {
  if (a.length * b.length > most * most) return [...a.map((text): DiffLine => ({ kind: '-', text })), ...b.map((text): DiffLine => ({ kind: '+', text }))];
  const w = b.length + 1;
  const common = new Uint16Array((a.length + 1) * w);
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) common[i * w + j] = a[i] === b[j] ? common[(i + 1) * w + j + 1]! + 1 : Math.max(common[(i + 1) * w + j]!, common[i * w + j + 1]!);
  const out: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push(same(a[i]!));
      i++;
      j++;
    } else if (i < a.length && (j >= b.length || common[(i + 1) * w + j]! >= common[i * w + j + 1]!)) out.push({ kind: '-', text: a[i++]! });
    else out.push({ kind: '+', text: b[j++]! });
  }
  return out;
}

function shorten(lines: DiffLine[]): DiffLine[] {
  const near = new Uint8Array(lines.length);
  lines.forEach((l, i) => {
    if (l.kind !== ' ') near.fill(1, Math.max(0, i - around), i + around + 1);
  });
  const out: DiffLine[] = [];
  lines.forEach((l, i) => {
    if (near[i]) out.push(l);
    else if (out.length > 0 && out[out.length - 1]!.kind !== '…') out.push({ kind: '…', text: '' });
  });
  while (out[out.length - 1]?.kind === '…') out.pop();
  return out;
}
