/** The query editor with its frame; shows the text at once and becomes editable when the editor chunk has arrived. */
import { lazy, Suspense } from 'react';
import type { JSX } from 'react';
import { ApiError } from '@/core/api/http';
import type { EditorProps } from './codemirror';

const CodeMirrorEditor = lazy(() => import('./codemirror'));

export function QueryEditor({ error, ...rest }: Omit<EditorProps, 'error'> & { error?: unknown }): JSX.Element {
  const at = error instanceof ApiError && error.position ? { message: error.message, position: error.position } : undefined;
  return (
    <div className="editor grow" data-query data-error={error ? true : undefined}>
      <Suspense fallback={<pre className="editor-wait">{rest.value || rest.hint}</pre>}>
        <CodeMirrorEditor {...rest} error={at} />
      </Suspense>
    </div>
  );
}
