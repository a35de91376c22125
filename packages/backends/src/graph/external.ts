/* Weights outside the graph file (TensorProto.external_data): where they are, and whether that can be true. */
import { ModelError } from '@ediffi/core';
import { fields, text } from './wire.js';
import { openModel } from './onnx.js';

/** An initializer whose values lie in another file. */
export interface ExternalTensor {
  readonly name: string;
  /** Path of the file as the graph names it, relative to the graph's folder. */
  readonly location: string;
  readonly offset: number;
  /** Bytes, as type and sizes say. */
  readonly length: number;
}

/** Bits per element of TensorProto's types; strings and unknown ones are absent. */
const BITS: Readonly<Record<number, number>> = { 1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4 };

/** Bytes that `count` elements of a type take; undefined for types without a fixed size. */
export const byteLength = (type: number, count: number): number | undefined => (BITS[type] === undefined ? undefined : Math.ceil((count * BITS[type]) / 8));

/** Every initializer that lies outside the file. Throws ModelError for entries that contradict themselves or lead out of the folder. */
export function externalTensors(bytes: Uint8Array, name = 'ONNX file'): readonly ExternalTensor[] {
  const out: ExternalTensor[] = [];
  for (const f of fields(openModel(bytes, name).graph, name)) {
    if (f.number !== 5) continue;
    const found = externalTensor(f.value, name);
    if (found) out.push(found);
  }
  return out;
}

/** The files that a graph's weights lie in, as it names them. */
export const externalFiles = (bytes: Uint8Array, name?: string): readonly string[] => [...new Set(externalTensors(bytes, name).map((tensor) => tensor.location))];

function externalTensor(message: Uint8Array, model: string): ExternalTensor | undefined {
  let [name, type, elements, external] = ['', 0, 1, false];
  const entries = new Map<string, string>();
  for (const f of fields(message, model)) {
    if (f.number === 1) elements *= f.type === 0 ? f.varint : NaN;
    else if (f.number === 2) type = f.varint;
    else if (f.number === 8) name = text(f.value);
    else if (f.number === 14) external = f.varint === 1;
    else if (f.number === 13) {
      let [key, value] = ['', ''];
      for (const entry of fields(f.value, model)) {
        if (entry.number === 1) key = text(entry.value);
        if (entry.number === 2) value = text(entry.value);
      }
      entries.set(key, value);
    }
  }
  if (!external) return undefined;
  const refuse = (why: string): never => {
    throw new ModelError(`${model}: the weights '${name}' ${why} — the file is damaged or made to harm`, model);
  };
  const whole = (key: string): number | undefined => {
    const value = entries.get(key);
    if (value === undefined) return undefined;
    return /^\d{1,15}$/.test(value) ? Number(value) : refuse(`have the ${key} ${JSON.stringify(value)}`);
  };
  const location = entries.get('location') ?? refuse('lie outside, but no file is named');
  const parts = location.split(/[\\/]/);
  if (/^([A-Za-z]:|[\\/])|\0/.test(location) || parts.some((part) => part === '..' || part === '')) refuse(`name a file outside the model's folder: ${JSON.stringify(location)}`);
  const length = byteLength(type, elements) ?? refuse(`have the element type ${type}, which cannot lie outside`);
  const written = whole('length');
  if (written !== undefined && written !== length) refuse(`take ${length} bytes, but the graph says ${written} lie in ${location}`);
  return { name, location, offset: whole('offset') ?? 0, length };
}

/** Refuses weights that end after their file does. */
export function checkExtent({ name, location, offset, length }: ExternalTensor, size: number | undefined, model: string): void {
  if (size === undefined) throw new ModelError(`${model}: its weights '${location}' are missing — copy or download ${location} beside the graph`, location);
  if (offset + length > size) throw new ModelError(`${model}: '${name}' ends at byte ${offset + length} of ${location}, which has ${size} — the file is cut off; download it again`, location);
}
