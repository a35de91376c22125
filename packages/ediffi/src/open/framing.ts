import { CapabilityError, float32, type Conditioning, type HostTensor } from '@ediffi/core';
import type { Framing } from '../stage.js';
import { widthOf, type GraphFace } from './face.js';

/** Prefix of inputs that only one expert takes. */
const OWN = 'expert:';

/** The name under which an input of one expert travels in a conditioning. */
export const expertInput = (expert: string, name: string): string => `${OWN}${expert}:${name}`;

/** The inputs that follow from size, role and guidance, for every network of a stage: those that the networks' graphs have. */
export function framingOf(faces: Readonly<Record<string, GraphFace>>): (condition: Conditioning, framing: Framing) => Conditioning {
  return (condition, framing) => {
    const inputs: Record<string, HostTensor> = {};
    for (const [expert, face] of Object.entries(faces)) {
      const has = (name: string): boolean => face.inputs.some((input) => input.name === name);
      const put = (name: string, values: readonly number[], rank = 2): void => void (inputs[expertInput(expert, name)] = float32([...values], rank === 1 ? [values.length] : [1, values.length]));
      if (has('time_ids')) put('time_ids', timeIds(framing, widthOf(face, 'time_ids') ?? 6, face.name));
      if (has('guidance')) put('guidance', [framing.guidance], 1);
      if (has('timestep_cond')) put('timestep_cond', guidanceEmbedding(framing.guidance - 1, widthOf(face, 'timestep_cond') ?? 256));
      if (has('resolution')) put('resolution', [framing.height, framing.width]);
      if (has('aspect_ratio')) put('aspect_ratio', [framing.height / framing.width]);
    }
    return { ...condition, inputs: { ...condition.inputs, ...inputs } };
  };
}

/** The inputs of one expert under the names its graph has; those of others are dropped. */
export function ownInputs(condition: Conditioning, expert: string): Conditioning {
  const own = expertInput(expert, '');
  const entries = Object.entries(condition.inputs ?? {}).flatMap(([name, tensor]) => (name.startsWith(own) ? [[name.slice(own.length), tensor] as const] : name.startsWith(OWN) ? [] : [[name, tensor] as const]));
  return { ...condition, inputs: Object.fromEntries(entries) };
}

/** SDXL: original size, crop, and target size (6 numbers), or the refiner's aesthetic score in place of the last (5). */
function timeIds({ width, height, role, frame = {} }: Framing, count: number, name: string): number[] {
  const { original = [height, width], crop = [0, 0], target = [height, width], aesthetic } = role === 'negative' ? { ...frame, aesthetic: undefined, ...frame.negative } : frame;
  if (count === 6) return [...original, ...crop, ...target];
  if (count === 5) return [...original, ...crop, aesthetic ?? (role === 'negative' ? 2.5 : 6)];
  throw new CapabilityError('time_ids', `${name}: its input 'time_ids' takes ${count} numbers; 6 (size, crop, target) and 5 (size, crop, aesthetic score) are known`);
}

/** A guidance scale as distilled networks take it: sin and cos of 1000·w at geometrically falling frequencies. */
function guidanceEmbedding(w: number, width: number): number[] {
  const half = Math.floor(width / 2);
  const angles = Array.from({ length: half }, (_, i) => 1000 * w * Math.exp((-Math.log(10000) / (half - 1)) * i));
  return [...angles.map(Math.sin), ...angles.map(Math.cos), ...(width % 2 ? [0] : [])];
}
