/* safetensors: 8 bytes of length (little-endian), a JSON header, then the tensors' bytes. github.com/huggingface/safetensors#format */
import { halfToNumber, ModelError } from '@ediffi/core';

/** A tensor of a safetensors file. */
export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A parsed file; data are views into its bytes. */
export interface Safetensors {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const SIZE: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1, F8_E4M3: 1, F8_E5M2: 1 };
const MAX_HEADER = 100_000_000; // as the format says

/** Reads the header and checks every tensor's place. Throws ModelError for what is no safetensors file, or a damaged one. */
export function parseSafetensors(bytes: Uint8Array, name = 'safetensors file'): Safetensors {
  const refuse = (why: string): never => {
    throw new ModelError(`${name}: ${why} — the file is damaged or no safetensors file`, name);
  };
  if (bytes.length < 8) refuse(`${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER || 8 + length > bytes.length) refuse(`its header takes ${length} bytes of ${bytes.length}`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch {
    refuse('its header is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) refuse('its header is no object');
  const { __metadata__: metadata = {}, ...entries } = header as Record<string, unknown>;
  const tensors = new Map<string, StoredTensor>();
  for (const [key, entry] of Object.entries(entries)) {
    const { dtype, shape, data_offsets: offsets } = entry as { dtype: string; shape: number[]; data_offsets: number[] };
    const natural = (v: unknown): boolean => Number.isSafeInteger(v) && (v as number) >= 0;
    if (!Array.isArray(shape) || !shape.every(natural) || !Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(natural)) refuse(`'${key}' has no shape or place`);
    const [start, end] = offsets as [number, number];
    const expected = SIZE[dtype] === undefined ? refuse(`'${key}' has the element type ${String(dtype)}`) : shape.reduce((product, n) => product * n, SIZE[dtype]);
    if (end - start !== expected || 8 + length + end > bytes.length) refuse(`'${key}' should take ${expected} bytes, from ${start} to ${end} of ${bytes.length - 8 - length}`);
    tensors.set(key, { dtype, shape, data: bytes.subarray(8 + length + start, 8 + length + end) });
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

/** The values of a tensor. Throws ModelError for element types that are no fractions. */
export function storedFloats({ dtype, data }: StoredTensor, name: string): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read = { F64: (i: number) => view.getFloat64(8 * i, true), F32: (i: number) => view.getFloat32(4 * i, true), F16: (i: number) => halfToNumber(view.getUint16(2 * i, true)), BF16: bfloat }[dtype];
  const bits = new DataView(new ArrayBuffer(4));
  function bfloat(i: number): number {
    bits.setUint16(2, view.getUint16(2 * i, true), true);
    return bits.getFloat32(0, true);
  }
  if (!read) throw new ModelError(`${name}: its element type is ${dtype}; F32, F16, BF16 and F64 are understood`, name);
  return Float32Array.from({ length: data.byteLength / SIZE[dtype]! }, (_, i) => read(i));
}
