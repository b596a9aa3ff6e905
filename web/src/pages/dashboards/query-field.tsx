/** A query editor that reports once the user is done with it. */
import { useState } from 'react';
import type { JSX } from 'react';
import { useTime } from '@/app/time';
import { QueryEditor } from '@/query/editor';
import type { Language } from '@/query/editor';

export const languages: Record<string, Language> = { prometheus: 'promql', loki: 'logql', tempo: 'traceql' };

export function QueryField({ language, value, label, onCommit }: { language: Language; value: string; label: string; onCommit: (v: string) => void }): JSX.Element {
  const [text, setText] = useState(value);
  const time = useTime();
  return (
    <div className="g-code" onBlur={() => text !== value && onCommit(text)}>
      <QueryEditor language={language} value={text} onChange={setText} onRun={onCommit} label={label} range={time.range} />
    </div>
  );
}
