import type { Attribute } from '../graph/onnx.js';
import type { Value } from './value.js';

/** One operator: inputs (undefined where optional and absent) and attributes → outputs. */
export type Op = (inputs: readonly (Value | undefined)[], attributes: ReadonlyMap<string, Attribute>, outputs?: number) => (Value | undefined)[];

/** An integer attribute, or its default. */
export const int = (attributes: ReadonlyMap<string, Attribute>, name: string, fallback: number): number => attributes.get(name)?.i ?? fallback;

/** A list of integers, or its default. */
export const ints = (attributes: ReadonlyMap<string, Attribute>, name: string, fallback: readonly number[]): readonly number[] => attributes.get(name)?.ints ?? fallback;
