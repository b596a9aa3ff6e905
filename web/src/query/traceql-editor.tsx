/** The TraceQL editor: a chunk of its own, so that a page loads only its language. */
import type { JSX } from 'react';
import { CodeMirrorEditor } from './codemirror';
import type { EditorProps } from './codemirror';
import { traceql } from './languages/traceql';

export default function Editor(props: EditorProps): JSX.Element {
  return <CodeMirrorEditor {...props} language={traceql} />;
}
