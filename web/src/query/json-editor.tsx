/** An editor for JSON: colours, and what is wrong at its place while it is typed. */
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import type { StringStream } from '@codemirror/language';
import { tags as t } from '@lezer/highlight';
import type { JSX } from 'react';
import { CodeMirrorEditor } from './codemirror';

const language = StreamLanguage.define({
  name: 'json',
  token(s: StringStream) {
    if (s.eatSpace()) return null;
    if (s.match(/^"(?:[^"\\]|\\.)*"?/)) return s.match(/^\s*:/, false) ? 'propertyName' : 'string';
    if (s.match(/^-?\d[\d.eE+-]*/)) return 'number';
    if (s.match(/^(true|false|null)\b/)) return 'atom';
    s.next();
    return null;
  },
  tokenTable: { propertyName: t.labelName },
});

const extension = [language, syntaxHighlighting(HighlightStyle.define([{ tag: t.labelName, color: 'var(--cm-lbl)' }]))];
const extensions = () => extension;
const noRange = { from: 0, to: 0 };

export default function JSONEditor(props: { value: string; onChange: (v: string) => void; onRun: (v: string) => void; label: string; error?: { message: string; position: { line: number; col: number } } | undefined }): JSX.Element {
  return <CodeMirrorEditor {...props} language={extensions} range={noRange} document />;
}
