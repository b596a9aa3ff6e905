/** The text panel: Markdown and HTML, built as elements from a list of what is allowed. */
import { Fragment } from 'react';
import type { JSX, ReactNode } from 'react';
import { obj, str } from '../model';
import { interpolate } from '../template';
import type { PanelProps } from './context';
import { safeURL } from './parts';

export function Text({ panel, values }: PanelProps): JSX.Element {
  const o = panel.options;
  const mode = str(o['mode']) ?? 'markdown';
  const content = interpolate(str(o['content']) ?? '', values, 'text');
  if (mode === 'code') {
    return (
      <pre className="g-text" tabIndex={0}>
        {content}
      </pre>
    );
  }
  return (
    <div className="g-text" tabIndex={0} role="region" aria-label={panel.title || 'Text'} data-language={str(obj(o['code'])['language'])}>
      {mode === 'html' ? html(content) : markdown(content)}
    </div>
  );
}

const allowed = new Set(['a', 'abbr', 'b', 'blockquote', 'br', 'center', 'code', 'dd', 'del', 'details', 'div', 'dl', 'dt', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'i', 'kbd', 'li', 'mark', 'ol', 'p', 'pre', 's', 'small', 'span', 'strong', 'sub', 'summary', 'sup', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'u', 'ul']);
const dropped = new Set(['script', 'style', 'iframe', 'object', 'embed', 'link', 'meta', 'template', 'svg', 'math', 'form', 'input', 'textarea', 'noscript']);
const styles = new Set(['color', 'background-color', 'text-align', 'font-weight', 'font-size', 'font-style', 'margin', 'padding', 'width', 'display', 'text-decoration', 'border']);

/** HTML as React elements; nothing that could run or load is kept. */
export function html(source: string): ReactNode {
  const doc = new DOMParser().parseFromString(source, 'text/html');
  return [...doc.body.childNodes].map((n, i) => <Fragment key={i}>{node(n)}</Fragment>);
}

function node(n: Node): ReactNode {
  if (n.nodeType === 3) return n.textContent;
  if (n.nodeType !== 1) return null;
  const el = n as Element;
  const tag = el.tagName.toLowerCase();
  if (dropped.has(tag)) return null;
  const children = [...el.childNodes].map((c, i) => <Fragment key={i}>{node(c)}</Fragment>);
  if (tag === 'img') return el.getAttribute('alt') ?? null;
  if (!allowed.has(tag)) return children;
  if (tag === 'br' || tag === 'hr') return tag === 'br' ? <br /> : <hr />;
  const Tag = (tag === 'center' ? 'div' : tag.replace(/^h1$/, 'h2')) as 'div';
  const style = styleOf(el, tag);
  if (tag === 'a') {
    const href = safeURL(el.getAttribute('href') ?? '');
    return href ? (
      <a href={href} {...(el.getAttribute('target') === '_blank' || /^https?:/i.test(href) ? { target: '_blank', rel: 'noreferrer' } : {})}>
        {children}
      </a>
    ) : (
      children
    );
  }
  return <Tag {...(Object.keys(style).length > 0 ? { style } : {})}>{children}</Tag>;
}

function styleOf(el: Element, tag: string): Record<string, string> {
  const out: Record<string, string> = tag === 'center' ? { textAlign: 'center' } : {};
  for (const part of (el.getAttribute('style') ?? '').split(';')) {
    const at = part.indexOf(':');
    const name = part.slice(0, at).trim().toLowerCase();
    const value = part.slice(at + 1).trim();
    if (at < 0 || !styles.has(name) || /url|expression|import|var\(/i.test(value)) continue;
    out[name.replace(/-(\w)/g, (_m, c: string) => c.toUpperCase())] = value;
  }
  return out;
}

/** The Markdown that dashboards use: headings, lists, tables, code, quotes, emphasis, links, and HTML in between. */
export function markdown(source: string): ReactNode {
  const lines = source.replaceAll('\r', '').split('\n');
  const out: ReactNode[] = [];
  let i = 0;
  const take = (test: (l: string) => boolean): string[] => {
    const got: string[] = [];
    while (i < lines.length && test(lines[i]!)) got.push(lines[i++]!);
    return got;
  };
  while (i < lines.length) {
    const l = lines[i]!;
    const key = i;
    if (l.trim() === '') {
      i++;
    } else if (/^\s*```/.test(l)) {
      i++;
      const body = take((x) => !/^\s*```/.test(x));
      i++;
      out.push(<pre key={key}>{body.join('\n')}</pre>);
    } else if (/^#{1,6}\s/.test(l)) {
      const level = /^#+/.exec(l)![0].length;
      const Tag = `h${Math.min(6, Math.max(2, level))}` as 'h2';
      out.push(<Tag key={key}>{inline(l.replace(/^#+\s+/, '').replace(/\s#+\s*$/, ''))}</Tag>);
      i++;
    } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(l)) {
      out.push(<hr key={key} />);
      i++;
    } else if (/^\s*>/.test(l)) {
      out.push(<blockquote key={key}>{markdown(take((x) => /^\s*>/.test(x)).map((x) => x.replace(/^\s*> ?/, '')).join('\n'))}</blockquote>);
    } else if (/^\s*([-*+]|\d+[.)])\s+/.test(l)) {
      out.push(list(take((x) => /^\s*([-*+]|\d+[.)])\s+/.test(x) || (/^\s{2,}\S/.test(x))), key));
    } else if (l.includes('|') && /^\s*\|?[\s:|-]+\|[\s:|-]*$/.test(lines[i + 1] ?? '')) {
      out.push(table(take((x) => x.includes('|')), key));
    } else if (/^\s*<\w+/.test(l)) {
      out.push(<Fragment key={key}>{html(take((x) => x.trim() !== '').join('\n'))}</Fragment>);
    } else {
      const text = take((x) => x.trim() !== '' && !/^(#{1,6}\s|\s*```|\s*>|\s*([-*+]|\d+[.)])\s+)/.test(x));
      out.push(<p key={key}>{text.flatMap((t, k) => [...(k > 0 ? [/ {2}$/.test(text[k - 1]!) ? <br key={`b${k}`} /> : ' '] : []), <Fragment key={k}>{inline(t.trimEnd())}</Fragment>])}</p>);
    }
  }
  return out;
}

function list(lines: string[], key: number): ReactNode {
  const indent = /^\s*/.exec(lines[0]!)![0].length;
  const items: string[][] = [];
  for (const l of lines) {
    const own = /^\s*/.exec(l)![0].length <= indent + 1 && /^\s*([-*+]|\d+[.)])\s+/.test(l);
    if (own || items.length === 0) items.push([l.replace(/^\s*([-*+]|\d+[.)])\s+/, '')]);
    else items[items.length - 1]!.push(l);
  }
  const Tag = /^\s*\d/.test(lines[0]!) ? 'ol' : 'ul';
  return (
    <Tag key={key}>
      {items.map(([first = '', ...rest], k) => (
        <li key={k}>
          {inline(first)}
          {rest.length > 0 && markdown(rest.join('\n'))}
        </li>
      ))}
    </Tag>
  );
}

function table(lines: string[], key: number): ReactNode {
  const cells = (l: string) => l.trim().replace(/^\||\|$/g, '').split('|').map((c) => c.trim());
  const [head = '', , ...body] = lines;
  return (
    <table key={key}>
      <thead>
        <tr>
          {cells(head).map((c, k) => (
            <th key={k}>{inline(c)}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {body.map((r, j) => (
          <tr key={j}>
            {cells(r).map((c, k) => (
              <td key={k}>{inline(c)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const token = /(`+)([\s\S]+?)\1|!\[([^\]]*)\]\([^)]*\)|\[([^\]]+)\]\(([^)\s]+)(?:\s+"[^"]*")?\)|(\*\*|__)(?=\S)([\s\S]+?)\6|(\*|_)(?=\S)([\s\S]+?)\8(?!\w)|~~([\s\S]+?)~~|<(https?:[^>]+)>|(https?:\/\/[^\s<)]+)|(<\/?\w[^>]*>)/;

function inline(text: string): ReactNode {
  if (/<\w+[\s\S]*>/.test(text) && !/<https?:/.test(text)) return html(text);
  const m = token.exec(text);
  if (!m) return text;
  const link = (url: string, label: ReactNode) => {
    const href = safeURL(url);
    return href ? (
      <a href={href} {...(/^https?:/i.test(href) ? { target: '_blank', rel: 'noreferrer' } : {})}>
        {label}
      </a>
    ) : (
      label
    );
  };
  let node: ReactNode = null;
  if (m[1]) node = <code>{m[2]}</code>;
  else if (m[3] !== undefined) node = m[3];
  else if (m[4]) node = link(m[5]!, inline(m[4]));
  else if (m[6]) node = <strong>{inline(m[7]!)}</strong>;
  else if (m[8]) node = <em>{inline(m[9]!)}</em>;
  else if (m[10]) node = <del>{inline(m[10])}</del>;
  else if (m[11]) node = link(m[11], m[11]);
  else if (m[12]) node = link(m[12], m[12]);
  return (
    <>
      {text.slice(0, m.index)}
      {node}
      {inline(text.slice(m.index + m[0].length))}
    </>
  );
}
