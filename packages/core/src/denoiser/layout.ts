/*
 * Transformers that take pictures as tokens (FLUX): [B, C, H, W] → [B, H/p·W/p, C·p²], each token a patch, channel by channel; and back.
 */
import { ShapeError } from '../errors/errors.js';
import { float32, floats } from '../tensor/host.js';
import { shapeText, type Shape, type Tensor } from '../tensor/tensor.js';

/** How a graph takes a picture `[B, C, H, W]`, and gives its answer. */
export interface Layout {
  pack(x: Tensor): Promise<Tensor>;
  /** The answer as `[B, C, H, W]`, the given shape. */
  unpack(answer: Tensor, shape: Shape): Promise<Tensor>;
  /** The `[B, C, h, w]` whose h·w are the graph's tokens. */
  grid(shape: Shape): Shape;
}

/** Patches of p × p pixels as tokens. */
export function patches(p: number): Layout {
  const grid = (shape: Shape): Shape => {
    const [batch = 1, channels = 1, height = 1, width = 1] = shape;
    if (height % p || width % p) throw new ShapeError('latents', `height and width in multiples of ${p}`, shapeText(shape));
    return [batch, channels, height / p, width / p];
  };
  /** Index in `[B, tokens, C·p²]` for each element of `[B, C, H, W]`, in order. */
  const indices = (shape: Shape): Int32Array => {
    const [batch = 1, channels = 1, h = 1, w = 1] = grid(shape);
    const out = new Int32Array(batch * channels * h * p * w * p);
    let at = 0;
    for (let b = 0; b < batch; b++) for (let c = 0; c < channels; c++) for (let y = 0; y < h * p; y++) for (let x = 0; x < w * p; x++) {
      const token = (b * h + Math.floor(y / p)) * w + Math.floor(x / p);
      out[at++] = (token * channels + c) * p * p + (y % p) * p + (x % p);
    }
    return out;
  };
  return {
    grid,
    async pack(x) {
      const data = await floats(x);
      const [batch = 1, channels = 1, h = 1, w = 1] = grid(x.shape);
      const out = new Float32Array(data.length);
      indices(x.shape).forEach((to, i) => (out[to] = data[i]!));
      return x.device.fromHost(float32(out, [batch, h * w, channels * p * p]));
    },
    async unpack(answer, shape) {
      const data = await floats(answer);
      if (data.length !== shape.reduce((a, b) => a * b, 1)) throw new ShapeError('answer', `as many elements as ${shapeText(shape)}`, shapeText(answer.shape));
      return answer.device.fromHost(float32(Float32Array.from(indices(shape), (from) => data[from]!), shape));
    },
  };
}
