/** A field for JSON that says at once what is wrong and where, and is applied as a whole. */
import { lazy, Suspense, useEffect, useState } from 'react';
import type { JSX, ReactNode } from 'react';
import { JsonError, parseText } from '@/grafana/jsontext';
import { Button, ErrorBox } from '@/ui/kit';

const Editor = lazy(() => import('@/query/json-editor'));

interface Props {
  text: string;
  label: string;
  /** Takes the value; throws with a plain sentence when it makes no sense. */
  onApply: (text: string, value: unknown) => void;
  /** What else can be done with a text that has no mistake. */
  children?: (apply: () => boolean, wrong: boolean) => ReactNode;
}

export function JSONField({ text: saved, label, onApply, children }: Props): JSX.Element {
  const [text, setText] = useState(saved);
  const [error, setError] = useState<unknown>();
  useEffect(() => setText(saved), [saved]);
  // The check waits until the typing pauses: a large dashboard takes a moment.
  useEffect(() => {
    const timer = setTimeout(() => setError(mistake(text)), 250);
    return () => clearTimeout(timer);
  }, [text]);
  const apply = (now = text) => {
    try {
      onApply(now, parseText(now));
      setError(undefined);
      return true;
    } catch (err) {
      setError(err);
      return false;
    }
  };
  const at = error instanceof JsonError ? error : undefined;
  return (
    <div className="g-json">
      <div className="g-jsonbox" data-error={error !== undefined || undefined}>
        <Suspense fallback={<pre className="g-pre">{text.slice(0, 20_000)}</pre>}>
          <Editor label={label} value={text} onChange={setText} onRun={apply} error={at && { message: at.message, position: { line: at.line, col: at.col } }} />
        </Suspense>
      </div>
      {error !== undefined && <ErrorBox error={at ? new Error(`Line ${at.line}, column ${at.col}: ${at.message}`) : error} />}
      <div className="row">
        <Button small disabled={at !== undefined} onClick={() => apply()}>
          Apply
        </Button>
        {children?.(() => apply(), at !== undefined)}
        <Button small kind="quiet" disabled={at !== undefined} title="Gives every value a line of its own" onClick={() => setText(JSON.stringify(parseText(text), null, 2))}>
          Format
        </Button>
        {text !== saved && <span className="muted">Changed; Ctrl-Enter applies it</span>}
      </div>
    </div>
  );
}

function mistake(text: string): unknown {
  try {
    parseText(text);
    return undefined;
  } catch (err) {
    return err;
  }
}
