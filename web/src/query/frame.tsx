/** The frame of a query editor; shows the text at once and becomes editable when the editor chunk has arrived. */
import { Suspense } from 'react';
import type { ComponentType, JSX } from 'react';
import { ApiError } from '@/core/api/http';
import type { EditorProps } from './codemirror';

export type FrameProps = Omit<EditorProps, 'error'> & { error?: unknown };

export function EditorFrame({ error, editor: Editor, ...rest }: FrameProps & { editor: ComponentType<EditorProps> }): JSX.Element {
  const at = error instanceof ApiError && error.position ? { message: error.message, position: error.position } : undefined;
  return (
    <div className="editor grow" data-query data-error={error ? true : undefined}>
      <Suspense fallback={<pre className="editor-wait">{rest.value || rest.hint}</pre>}>
        <Editor {...rest} error={at} />
      </Suspense>
    </div>
  );
}
