import ndarray, { type NdArray } from 'ndarray';
import type { HostTensor } from './tensor.js';

/** A scijs ndarray over the tensor's own memory `[...shape]` (no copy). */
export const view = (tensor: HostTensor): NdArray<Float32Array> => ndarray(tensor.data, [...tensor.shape]);
