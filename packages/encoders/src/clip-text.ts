import type { PromptEncoder, Session } from '@ediffi/core';
import { textEncoder, type TextEncoderOptions } from './text-encoder.js';

/**
 * A CLIP-style text encoder: ids `[B, T]` → tokens `[B, T, C]` and pooled `[B, C]`.
 * Takes over the session. Throws ModelError or ShapeError when the graph is not such an encoder.
 */
export function clipTextEncoder(session: Session, tokenizerJson: object, options: TextEncoderOptions): PromptEncoder {
  return textEncoder('clip', session, tokenizerJson, { names: { ids: 'input_ids', tokens: 'last_hidden_state', pooled: 'pooled' }, ...options });
}
