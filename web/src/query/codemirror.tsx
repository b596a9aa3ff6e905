/** The query editor itself. Loaded as a chunk of its own, so that the shell does not wait for it. */
import { acceptCompletion, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { setDiagnostics } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import type { Extension } from '@codemirror/state';
import { EditorView, keymap, lineNumbers, placeholder } from '@codemirror/view';
import { tags as t } from '@lezer/highlight';
import { useEffect, useRef } from 'react';
import type { JSX } from 'react';
import type { Position } from '@/core/api/http';
import type { Range } from '@/core/time/parse';

const highlight = HighlightStyle.define([
  { tag: t.comment, color: 'var(--faint)', fontStyle: 'italic' },
  { tag: t.string, color: 'var(--cm-str)' },
  { tag: [t.number, t.literal], color: 'var(--cm-num)' },
  { tag: t.labelName, color: 'var(--cm-lbl)' },
  { tag: [t.keyword, t.modifier, t.atom], color: 'var(--cm-key)' },
  { tag: [t.function(t.variableName), t.function(t.propertyName)], color: 'var(--cm-fn)' },
  { tag: t.variableName, color: 'var(--text)' },
  { tag: t.operator, color: 'var(--cm-op)' },
]);

const look = EditorView.theme({
  '&': { fontSize: '12.5px', backgroundColor: 'transparent', color: 'var(--text)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', fontVariantLigatures: 'none', lineHeight: '20px' },
  '.cm-content': { padding: '5px 2px', caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 28%, transparent) !important' },
  '.cm-matchingBracket': { backgroundColor: 'transparent' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'color-mix(in srgb, var(--accent) 22%, transparent)', outline: 'none' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--faint)', border: 'none' },
  '.cm-placeholder': { color: 'var(--faint)' },
  '.cm-tooltip': { backgroundColor: 'var(--surface)', border: '1px solid var(--line-2)', borderRadius: '6px', boxShadow: 'var(--shadow)', overflow: 'hidden' },
  '.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '12px', maxHeight: '18em' },
  '.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px !important', lineHeight: '18px' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent-bg) !important', color: 'var(--text) !important' },
  '.cm-completionDetail': { color: 'var(--faint)', fontStyle: 'normal', marginLeft: '10px' },
  '.cm-completionMatchedText': { textDecoration: 'none', color: 'var(--accent)', fontWeight: '600' },
  '.cm-completionInfo': { padding: '6px 10px', maxWidth: '360px', fontFamily: 'var(--font)', fontSize: '12px', color: 'var(--muted)' },
  '.cm-diagnostic': { fontFamily: 'var(--font)', fontSize: '12px', borderLeftColor: 'var(--bad-solid)' },
});

export interface EditorProps {
  value: string;
  onChange: (v: string) => void;
  onRun: (v: string) => void;
  label: string;
  hint?: string;
  range: Range;
  error?: { message: string; position: Position } | undefined;
  /** A text of many lines: Enter begins a line, and lines are numbered. */
  document?: boolean;
}

export function CodeMirrorEditor({ language, value, onChange, onRun, label, hint, range, error, document: long }: EditorProps & { language: (range: () => Range) => Extension }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const latest = useRef({ onChange, onRun, range });
  latest.current = { onChange, onRun, range };

  useEffect(() => {
    const run = (v: EditorView) => {
      latest.current.onRun(v.state.doc.toString());
      return true;
    };
    const editor = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: value,
        extensions: [
          Prec.highest(
            keymap.of([
              ...(long
                ? []
                : [
                    { key: 'Tab', run: acceptCompletion },
                    { key: 'Enter', run: (v: EditorView) => (completionStatus(v.state) === 'active' ? acceptCompletion(v) : run(v)) },
                    { key: 'Shift-Enter', run: (v: EditorView) => (v.dispatch(v.state.replaceSelection('\n')), true) },
                  ]),
              { key: 'Mod-Enter', run },
              { key: 'Escape', run: (v) => (completionStatus(v.state) ? false : (v.contentDOM.blur(), true)) },
            ]),
          ),
          history(),
          keymap.of([...closeBracketsKeymap, ...completionKeymap, ...defaultKeymap, ...historyKeymap]),
          bracketMatching(),
          syntaxHighlighting(highlight),
          language(() => latest.current.range),
          long ? lineNumbers() : EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', autocapitalize: 'off', ...(long ? { tabindex: '0' } : {}) }),
          hint ? placeholder(hint) : [],
          look,
          EditorView.updateListener.of((u) => {
            if (u.docChanged) latest.current.onChange(u.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
    // The editor owns its text; later changes come through the effect below.
  }, [language, label, hint, long]);

  useEffect(() => {
    const v = view.current;
    if (v && v.state.doc.toString() !== value) v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: value } });
  }, [value]);

  useEffect(() => {
    const v = view.current;
    if (!v) return;
    if (!error || error.position.line > v.state.doc.lines) {
      v.dispatch(setDiagnostics(v.state, []));
      return;
    }
    const line = v.state.doc.line(error.position.line);
    const from = Math.min(line.from + Math.max(0, error.position.col - 1), Math.max(0, v.state.doc.length - 1));
    v.dispatch(setDiagnostics(v.state, [{ from, to: Math.min(from + 1, v.state.doc.length), severity: 'error', message: error.message }]));
  }, [error?.message, error?.position.line, error?.position.col]);

  return <div ref={host} />;
}
