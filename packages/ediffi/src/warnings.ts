import type { PromptEmbedding } from '@ediffi/core';
import { isSpelled, unknownWords, type ModelCard } from '@ediffi/model';

/** Something worth knowing about a picture that is no error. `message` is one sentence for people. */
export type Warning =
  | { readonly kind: 'unknown-word'; readonly word: string; readonly nearest: readonly string[]; readonly message: string }
  | { readonly kind: 'truncated' | 'unpooled'; readonly encoder: string; readonly text: string; readonly message: string }
  | { readonly kind: 'idle-expert'; readonly expert: string; readonly message: string }
  | { readonly kind: 'idle-negative'; readonly message: string };

/** Words of the prompts that the model (`words`) or a tokenizer does not know and that no sign spells, each once, with the nearest known ones. */
export function wordWarnings(prompts: readonly string[], embeddings: Readonly<Record<string, PromptEmbedding>>, { words, signs }: Partial<Pick<ModelCard, 'words' | 'signs'>>): Warning[] {
  const found = new Map<string, Warning>();
  const add = (word: string, nearest: readonly string[]): void => {
    const hint = nearest.length ? ` — nearest known: ${nearest.join(', ')}` : '';
    if (!found.has(word.toLowerCase())) found.set(word.toLowerCase(), { kind: 'unknown-word', word, nearest, message: `the model does not know "${word}"${hint}` });
  };
  if (words) for (const prompt of prompts) for (const { word, nearest } of unknownWords(prompt, { words, ...(signs && { signs }) })) add(word, nearest);
  for (const { unknown = [] } of Object.values(embeddings)) for (const word of unknown) if (!isSpelled(word, signs)) add(word, []);
  return [...found.values()];
}

/** One warning per encoder that could not take the whole prompt, or whose pooled vector stands for its beginning only. */
export function truncationWarnings(embeddings: Readonly<Record<string, PromptEmbedding>>): Warning[] {
  return Object.entries(embeddings).flatMap(([encoder, { truncated = [], unpooled = [], length }]) => [
    ...truncated.map((text): Warning => ({ kind: 'truncated', encoder, text, message: `${encoder} reads ${length} tokens; it did not see "${text}"` })),
    ...unpooled.map((text): Warning => ({ kind: 'unpooled', encoder, text, message: `the pooled vector of ${encoder} stands for its first window only, without "${text}"` })),
  ]);
}
