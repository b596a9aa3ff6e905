/** What the completions of the languages share. */
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';

export type Source = (c: CompletionContext) => Promise<CompletionResult | null>;

export const words = (list: string, type: string, detail?: string): Completion[] => list.split(' ').map((label) => ({ label, type, ...(detail ? { detail } : {}) }));

export const insideBraces = (before: string) => before.lastIndexOf('{') > before.lastIndexOf('}');

export const quoted = (values: string[], open: boolean): Completion[] => values.map((v) => ({ label: v, apply: open ? v : `"${v}"`, type: 'constant' }));

/** The completions are a convenience: when the server refuses, there are none. */
export function quiet(source: Source): Source {
  return (ctx: CompletionContext) => source(ctx).catch(() => null);
}
