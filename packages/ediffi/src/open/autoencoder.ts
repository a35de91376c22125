import { cast, float32, floats, ModelError, NonFiniteError, ShapeError, shapeText, type Abort, type HostTensor, type Session } from '@ediffi/core';
import type { Autoencoder } from '../stage.js';
import { tiled, type Tiling } from './tiles.js';

/** An autoencoder's graphs and numbers. */
export interface AutoencoderParts {
  readonly decoder: () => Promise<Session>;
  /** Absent: pictures cannot be given. */
  readonly encoder?: () => Promise<Session>;
  readonly channels: number;
  readonly factor: number;
  /** latents = (encoded − shift)·scale. */
  readonly scale: number;
  readonly shift: number;
  readonly tiling?: Tiling;
  readonly dispose: () => Promise<void>;
}

/** Pictures ↔ latents by two graphs. Rejects with NonFiniteError for latents or pictures that are no numbers. */
export function graphAutoencoder({ decoder, encoder, channels, factor, scale, shift, tiling, dispose }: AutoencoderParts): Autoencoder {
  const run = async (session: Session, x: HostTensor, call: { readonly signal?: Abort }): Promise<HostTensor> => {
    const [input, output] = [session.inputs[0], session.outputs[0]];
    if (!input || !output) throw new ModelError(`${session.name}: the graph takes or gives nothing`, session.name);
    const answer = (await session.run({ [input.name]: await cast(x, input.dtype) }, call))[output.name]!;
    const host = (await (await cast(answer, 'float32')).toHost()) as HostTensor;
    answer.dispose();
    if (!host.data.every(Number.isFinite)) throw new NonFiniteError(session.name, 0, 'half precision overflows in many autoencoders: load this one in fp32');
    return host;
  };
  return {
    async decode(latents, call = {}) {
      const inside = float32(latents.data.map((v) => v / scale + shift), latents.shape);
      const session = await decoder();
      return tiled(inside, (x) => run(session, x, call), { ...tiling, ratio: factor, channels: 3 });
    },
    async encode(pictures, { noise, ...call } = {}) {
      if (!encoder) throw new ModelError('vae_encoder: the model has none, so no picture can be given — export the model with its encoder', 'vae_encoder/model.onnx');
      const session = await encoder();
      const answers = await tiled(pictures, (x) => run(session, x, call), { ...tiling, ratio: 1 / factor });
      const given = answers.shape[1];
      if (given !== channels && given !== 2 * channels) throw new ShapeError(`${session.name} output`, `${channels} channels, or ${2 * channels} with log-variances`, shapeText(answers.shape));
      const [batch = 1, , h = 1, w = 1] = answers.shape;
      const area = channels * h * w;
      const drawn = given === 2 * channels ? noise?.([batch, channels, h, w]) : undefined;
      const random = drawn && (await floats(drawn));
      const out = new Float32Array(batch * area);
      for (let row = 0; row < batch; row++) {
        for (let i = 0; i < area; i++) {
          const at = row * (given === 2 * channels ? 2 * area : area) + i;
          const deviation = random ? Math.exp(0.5 * Math.min(20, Math.max(-30, answers.data[at + area]!))) * random[row * area + i]! : 0;
          out[row * area + i] = (answers.data[at]! + deviation - shift) * scale;
        }
      }
      return float32(out, [batch, channels, h, w]);
    },
    dispose,
  };
}
