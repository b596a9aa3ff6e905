/** The TraceQL editor in its frame. */
import { lazy } from 'react';
import type { JSX } from 'react';
import { afterData } from './idle';
import { EditorFrame } from './frame';
import type { FrameProps } from './frame';

const Editor = lazy(() => afterData(() => import('./traceql-editor')));

export function TraceqlEditor(props: FrameProps): JSX.Element {
  return <EditorFrame {...props} editor={Editor} />;
}
