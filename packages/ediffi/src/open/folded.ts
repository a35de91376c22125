/*
 * UNets with ControlNets folded into their graph: pictures `[N, B, 3, H, W]` and scales `[N, 1]` (or `[N]`) as inputs. A scale of 0 is no control.
 */
import { CapabilityError, float32, floats, repeatRows, type Conditioning, type LiveInputs, type Tensor } from '@ediffi/core';
import { controlName, foldedNames } from './control-names.js';
import type { GraphFace } from './face.js';

/** The inputs for pictures and scales, and for how many ControlNets; undefined for other graphs. Throws CapabilityError where the graph does not say how many. */
export function foldedInputs(face: GraphFace): { readonly images: string; readonly scales: string; readonly count: number; readonly rank: number } | undefined {
  const has = (name: string): boolean => face.inputs.some((input) => input.name === name);
  const found = foldedNames.find(([images, scales]) => has(images) && has(scales));
  if (!found) return undefined;
  const [images, scales] = found;
  const shape = face.inputs.find((input) => input.name === images)!.shape;
  const count = shape[0];
  if (shape.length !== 5 || typeof count !== 'number' || count < 1) throw new CapabilityError('control', `${face.name}: '${images}' is [${shape.join(', ')}], expected [N, batch, 3, height, width] with a fixed number N of control networks — export it so`);
  return { images, scales, count, rank: face.inputs.find((input) => input.name === scales)!.shape.length };
}

/** Feeds for the folded ControlNets of one graph; zeros without control. `factor`: pixels per latent pixel. */
export function foldedControls(face: GraphFace, factor: number): LiveInputs | undefined {
  const found = foldedInputs(face);
  if (!found) return undefined;
  const { images, scales, count, rank } = found;
  const known = new WeakMap<Conditioning, Map<number, Promise<Tensor>>>();
  const pictures = async (condition: Conditioning, [batch = 1, , h = 1, w = 1]: readonly number[]): Promise<Tensor> => {
    const size = batch * 3 * h * w * factor ** 2;
    const out = new Float32Array(count * size);
    for (let i = 0; i < count; i++) {
      const control = condition.controls?.find(({ network }) => network === controlName(i));
      if (control) out.set(await floats(await repeatRows(control.image, batch)), i * size);
    }
    return float32(out, [count, batch, 3, h * factor, w * factor]);
  };
  return {
    async residuals(x, _noise, sigma, condition) {
      const made = known.get(condition) ?? new Map<number, Promise<Tensor>>();
      known.set(condition, made);
      const batch = x.shape[0] ?? 1;
      if (!made.has(batch)) made.set(batch, pictures(condition, x.shape));
      const values = Array.from({ length: count }, (_, i) => condition.controls?.find(({ network }) => network === controlName(i))?.scale(sigma) ?? 0);
      return { [images]: await made.get(batch)!, [scales]: float32(values, rank === 1 ? [count] : [count, 1]) };
    },
    dispose: async () => undefined,
  };
}
