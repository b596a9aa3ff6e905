/** The LogQL editor in its frame. */
import { lazy } from 'react';
import type { JSX } from 'react';
import { EditorFrame } from './frame';
import type { FrameProps } from './frame';

const Editor = lazy(() => import('./logql-editor'));

export function LogqlEditor(props: FrameProps): JSX.Element {
  return <EditorFrame {...props} editor={Editor} />;
}
