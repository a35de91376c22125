import type { PromptEncoder, Session } from '@ediffi/core';
import { textEncoder, type TextEncoderOptions } from './text-encoder.js';

/**
 * A T5-style text encoder: ids `[B, T]` → tokens `[B, T, C]`, no pooled vector (eDiff-I leaves pooled T5 out on purpose).
 * Takes over the session. Throws ModelError or ShapeError when the graph is not such an encoder.
 */
export function t5Encoder(session: Session, tokenizerJson: object, options: TextEncoderOptions): PromptEncoder {
  return textEncoder('t5', session, tokenizerJson, { names: { ids: 'input_ids', tokens: 'last_hidden_state' }, ...options });
}
