/** An editor for a language that is known only at run time, as in dashboard panels. Pages with one language import theirs. */
import type { JSX } from 'react';
import type { FrameProps } from './frame';
import { LogqlEditor } from './logql';
import { PromqlEditor } from './promql';
import { TraceqlEditor } from './traceql';

export type Language = 'promql' | 'logql' | 'traceql';

const editors = { promql: PromqlEditor, logql: LogqlEditor, traceql: TraceqlEditor };

export function QueryEditor({ language, ...props }: FrameProps & { language: Language }): JSX.Element {
  const Editor = editors[language];
  return <Editor {...props} />;
}
