import { float32, floats, integer, ModelError, resizePlanes, ShapeError, shapeText, type Abort, type HostTensor, type PromptEmbedding, type Session } from '@ediffi/core';

/** Pictures → embedding: the slot for a reference picture (style). `width` is C. */
export interface ImageEncoder {
  readonly name: string;
  readonly width: number;
  readonly size: number;
  /** pictures `[B, 3, H, W]` in −1…1, any size: resized to size × size. */
  encode(pictures: HostTensor, options?: { readonly signal?: Abort }): Promise<PromptEmbedding>;
  dispose(): Promise<void>;
}

/** Edge length the graph takes, C, and its names. */
export interface ImageEncoderOptions {
  readonly size: number;
  readonly width: number;
  readonly names?: { readonly pixels: string; readonly embedding: string };
}

/**
 * A CLIP-style image encoder: pixels `[B, 3, size, size]` in −1…1 → one vector `[B, C]`, given as pooled and as a single token.
 * Takes over the session. Throws ModelError or ShapeError when the graph is not such an encoder.
 */
export function clipImageEncoder(session: Session, options: ImageEncoderOptions): ImageEncoder {
  const { width, names = { pixels: 'pixel_values', embedding: 'image_embeds' } } = options;
  const size = integer('image encoder size', options.size, 1);
  if (!session.inputs.some((info) => info.name === names.pixels)) throw new ModelError(`${session.name}: the graph has no input ${names.pixels}`, session.name);
  const output = session.outputs.find((info) => info.name === names.embedding);
  if (!output) throw new ModelError(`${session.name}: the graph has no output ${names.embedding}`, session.name);
  const last = output.shape.at(-1);
  if (typeof last === 'number' && last !== width) throw new ShapeError(`image encoder output '${names.embedding}'`, `width ${width}`, `${last}`, 'load the encoder that the model was trained with');

  return {
    name: 'clip-image',
    width,
    size,
    async encode(pictures, call = {}) {
      const [batch = 0, channels, height = 0, wide = 0] = pictures.shape;
      if (pictures.shape.length !== 4 || channels !== 3 || batch * height * wide === 0) throw new ShapeError('reference picture', '[B, 3, H, W], not empty', shapeText(pictures.shape));
      const pixels = float32(resizePlanes(pictures.data, batch * 3, height, wide, size, size), [batch, 3, size, size]);
      const outputs = await session.run({ [names.pixels]: pixels }, call.signal ? { signal: call.signal } : {});
      const pooled = outputs[names.embedding]!;
      if (pooled.shape.length !== 2 || pooled.shape[0] !== batch || pooled.shape[1] !== width) throw new ShapeError('image embedding', shapeText([batch, width]), shapeText(pooled.shape), 'load the encoder that the model was trained with');
      const tokens = await pooled.device.fromHost(float32(await floats(pooled), [batch, 1, width]));
      return { tokens, pooled, length: 1, spans: Array.from({ length: batch }, () => []) };
    },
    dispose: () => session.dispose(),
  };
}
