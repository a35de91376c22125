import type { ValueInfo } from '@ediffi/core';

/** Inputs and outputs of a graph, loaded or not. */
export interface GraphFace {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** A size of an input, where the graph fixes it. */
export const dimension = (face: GraphFace, input: string, axis: number): number | undefined => {
  const size = face.inputs.find((info) => info.name === input)?.shape.at(axis);
  return typeof size === 'number' && size > 0 ? size : undefined;
};

/** Height and width that the graph fixes for its picture `[B, C, H, W]`. */
export const fixedSize = (face: GraphFace, sample: string): readonly [height: number, width: number] | undefined => {
  const [height, width] = [dimension(face, sample, 2), dimension(face, sample, 3)];
  return height !== undefined && width !== undefined ? [height, width] : undefined;
};

/** Width of an input's last axis, where the graph fixes it. */
export const widthOf = (face: GraphFace, input: string): number | undefined => dimension(face, input, -1);
