/** PromQL for the editor: grammar, colours and completion. Its linter is off: diagnostics come from the server. */
import { autocompletion, closeBrackets } from '@codemirror/autocomplete';
import type { Extension } from '@codemirror/state';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';

export function promql(): Extension {
  const ext = new PromQLExtension().activateLinter(false).setComplete({ remote: { url: '', httpMethod: 'GET', cache: { maxAge: 30_000 }, httpErrorHandler: () => undefined } });
  return [ext.asExtension(), closeBrackets(), autocompletion({ icons: false })];
}
