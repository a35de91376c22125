/*
 * Text encoders as they are exported from hub repositories (optimum, torch.onnx): CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel.
 * What a graph has is read from its outputs: `last_hidden_state` (after the final norm), `hidden_states.0 … N` (0 are the embeddings, N comes
 * before the norm), `pooler_output` (at the end token) or `text_embeds` (projected).
 */
import { CapabilityError, integer, ModelError, type PromptEncoder, type Session, type ValueInfo } from '@ediffi/core';
import { textEncoder } from '../text-encoder.js';
import type { TokenizerOptions } from '../text/tokenizer.js';
import type { ReadingOptions } from '../text/windows.js';

/** Options of hubTextEncoder. */
export interface HubTextOptions extends TokenizerOptions, ReadingOptions {
  /** Which hidden state, counted from the end: −1 (default) after the final norm, −2 the layer before the last (SDXL, SD3) … */
  readonly layer?: number;
  /** Whether to give the pooled vector that the graph has; default true. */
  readonly pooled?: boolean;
  /** Its width, which some exporters do not state. */
  readonly pooledWidth?: number;
  /** Whether a graph with a mask is told which columns are padding (default), or that none is. */
  readonly masked?: boolean;
}

const widthOf = (session: Session, output: ValueInfo): number => {
  const width = output.shape.at(-1);
  if (typeof width === 'number' && width > 0) return width;
  throw new ModelError(`${session.name}: output '${output.name}' does not state its width — export the encoder with fixed widths`, session.name);
};

/** The output that holds a layer's hidden state. Throws CapabilityError when the graph does not give it, naming what it gives. */
function layerOutput(session: Session, layer: number): ValueInfo {
  integer('text encoder layer', layer, -64, -1);
  const named = (name: string): ValueInfo | undefined => session.outputs.find((output) => output.name === name);
  const states = session.outputs.filter((output) => /^hidden_states\.\d+$/.test(output.name)).length;
  const found = layer === -1 ? named('last_hidden_state') : named(`hidden_states.${states + layer}`);
  if (found) return found;
  const has = session.outputs.map((output) => output.name).join(', ') || 'none';
  throw new CapabilityError('text encoder layer', `${session.name}: the graph does not give layer ${layer} — it has the outputs ${has}; export it with output_hidden_states=True`);
}

/**
 * An exported CLIP or T5 text encoder. `name`: its key in the conditioning. Takes over the session. An empty prompt is encoded, not zeros.
 * Throws ModelError, CapabilityError or ShapeError when the graph is not such an encoder or lacks the layer.
 */
export function hubTextEncoder(name: string, session: Session, tokenizerJson: object, options: HubTextOptions): PromptEncoder {
  const { layer = -1, pooled = true, pooledWidth, ...rest } = options;
  const tokens = layerOutput(session, layer);
  const vector = pooled ? (session.outputs.find((output) => output.name === 'text_embeds') ?? session.outputs.find((output) => output.name === 'pooler_output')) : undefined;
  const mask = session.inputs.some((input) => input.name === 'attention_mask');
  return textEncoder(name, session, tokenizerJson, {
    ...rest,
    empty: 'encode',
    width: widthOf(session, tokens),
    ...(vector && { pooledWidth: pooledWidth ?? widthOf(session, vector) }),
    names: { ids: 'input_ids', tokens: tokens.name, ...(vector && { pooled: vector.name }), ...(mask && { mask: 'attention_mask' }) },
  });
}
