/*
 * Open Inference Protocol, version 2, over HTTP (KServe, Triton, MLServer and others speak it), with its binary tensor extension: a JSON
 * header, then the tensors, raw and little-endian. JSON alone is what every server understands.
 */
import { BackendError, CapabilityError, hostTensor, shapeText, sizeOf, type DataOf, type DType, type GraphSites, type HostTensor, type Instrumentation, type ValueInfo } from '@ediffi/core';

/** Says how many bytes of a body are its JSON header. */
export const HEADER_LENGTH = 'inference-header-content-length';

const TYPES: Readonly<Record<DType, string>> = { float32: 'FP32', float16: 'FP16', int32: 'INT32', int64: 'INT64', uint8: 'UINT8', bool: 'BOOL' };
const DTYPES: Readonly<Record<string, DType>> = Object.fromEntries(Object.entries(TYPES).map(([dtype, name]) => [name, dtype as DType]));
const ARRAYS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array } as const;

/** A tensor in a header. */
export interface WireTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly (number | boolean)[];
  readonly parameters?: { readonly binary_data_size?: number };
}

/** A body and, where it has a binary part, the length of its header. */
export interface Packed {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly header?: number;
}

/** Host tensors by name. */
export type Tensors = Readonly<Record<string, HostTensor<DType>>>;

/** `head` and the tensors under `key`, binary. */
export function packed(head: object, key: 'inputs' | 'outputs', tensors: Tensors): Packed {
  const raw = Object.values(tensors).map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const listed = Object.entries(tensors).map(([name, { dtype, shape }], i) => ({ name, datatype: TYPES[dtype], shape, parameters: { binary_data_size: raw[i]!.length } }));
  const header = new TextEncoder().encode(JSON.stringify({ ...head, [key]: listed }));
  const body = new Uint8Array(header.length + raw.reduce((sum, { length }) => sum + length, 0));
  body.set(header);
  let at = header.length;
  for (const part of raw) {
    body.set(part, at);
    at += part.length;
  }
  return { body, header: header.length };
}

/** The same as JSON. Throws CapabilityError for float16, which JSON tensors cannot be, and for integers that no double holds. */
export function packedJson(head: object, key: 'inputs' | 'outputs', tensors: Tensors): Packed {
  const listed = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    if (dtype === 'float16') throw new CapabilityError('remote', `'${name}' is float16, which the protocol has in binary only — use a server with the binary tensor extension, or a float32 export`, { code: 'FLOAT16' });
    const values = Array.from(data as ArrayLike<number | bigint>, Number);
    const wide = values.find((v) => !Number.isFinite(v) || (dtype === 'int64' && !Number.isSafeInteger(v)));
    if (wide !== undefined) throw new CapabilityError('remote', `'${name}' holds ${wide}, which JSON cannot — use a server with the binary tensor extension`, { code: 'JSON' });
    return { name, datatype: TYPES[dtype], shape, data: dtype === 'bool' ? values.map(Boolean) : values };
  });
  return { body: new TextEncoder().encode(JSON.stringify({ ...head, [key]: listed })) };
}

/** Header and tensors of a body. Throws BackendError for what does not follow the protocol. */
export function unpacked(body: Uint8Array, header: number | undefined, key: 'inputs' | 'outputs'): { head: Readonly<Record<string, unknown>>; tensors: Tensors } {
  const bad = (why: string): BackendError => new BackendError('remote', `the ${key === 'inputs' ? 'request' : 'answer'} does not follow the Open Inference Protocol: ${why}`);
  const end = header ?? body.length;
  if (!(end >= 0 && end <= body.length)) throw bad(`a header of ${header} bytes in ${body.length}`);
  let head: Readonly<Record<string, unknown>>;
  try {
    head = JSON.parse(new TextDecoder().decode(body.subarray(0, end))) as Readonly<Record<string, unknown>>;
  } catch {
    throw bad('its header is not JSON');
  }
  const listed = (head as Record<string, unknown> | null)?.[key];
  if (!Array.isArray(listed)) throw bad(`it has no list of ${key}`);
  const tensors: Record<string, HostTensor<DType>> = {};
  let at = end;
  for (const entry of listed as readonly (WireTensor | null)[]) {
    if (typeof entry !== 'object' || entry === null) throw bad(`tensor ${JSON.stringify(entry)}`);
    const { name, datatype, shape, data, parameters } = entry;
    const dtype = DTYPES[datatype];
    if (typeof name !== 'string' || !dtype) throw bad(`tensor '${name}' of type ${datatype}`);
    if (!Array.isArray(shape) || !shape.every((n) => Number.isInteger(n) && n >= 0)) throw bad(`shape ${JSON.stringify(shape)} of '${name}'`);
    const [size, { BYTES_PER_ELEMENT: width }] = [sizeOf(shape), ARRAYS[dtype]];
    const bytes = parameters?.binary_data_size;
    const values = bytes === undefined && Array.isArray(data) ? data.flat(64) : [];
    if (bytes === undefined ? !Array.isArray(data) || values.length !== size : bytes !== size * width || at + bytes > body.length) throw bad(`'${name}' ${datatype} ${shapeText(shape)} with ${bytes === undefined ? `${Array.isArray(data) ? values.length : 'no'} numbers` : `${bytes} bytes, ${body.length - at} left`}`);
    const odd = values.find((v) => typeof v !== 'boolean' && (dtype === 'int64' ? !Number.isInteger(v) : typeof v !== 'number'));
    if (odd !== undefined) throw bad(`'${name}' ${datatype} holds ${JSON.stringify(odd)}`);
    tensors[name] = hostTensor(bytes === undefined ? fromJson(dtype, values) : fromBytes(dtype, body, at, bytes), shape, dtype);
    at += bytes ?? 0;
  }
  return { head, tensors };
}

const fromJson = (dtype: DType, values: readonly (number | boolean)[]): DataOf[DType] => (dtype === 'int64' ? BigInt64Array.from(values, (v) => BigInt(Number(v))) : ARRAYS[dtype as 'float32'].from(values, Number));

/** A copy: where a tensor begins in a body, typed arrays may not. (A Buffer's slice would be none.) */
const fromBytes = (dtype: DType, body: Uint8Array, at: number, bytes: number): DataOf[DType] => new ARRAYS[dtype](new Uint8Array(body.subarray(at, at + bytes)).buffer);

/** Inputs or outputs of a graph as metadata says them; −1 is a size known at run time. */
export const described = (values: readonly ValueInfo[]): object[] => values.map(({ name, dtype, shape }) => ({ name, datatype: TYPES[dtype], shape: shape.map((n) => (typeof n === 'number' ? n : -1)) }));

/** What metadata says of inputs or outputs. Throws CapabilityError for types that are no tensors of ours. */
export function infos(listed: readonly WireTensor[], model: string): ValueInfo[] {
  return listed.map(({ name, datatype, shape }) => {
    const dtype = DTYPES[datatype];
    if (!dtype) throw new CapabilityError('remote', `${model}: '${name}' is of type ${datatype}, which is not supported — the types are ${Object.values(TYPES).join(', ')}`);
    return { name, dtype, shape: shape.map((n) => (n < 0 ? null : n)) };
  });
}

/** An instrumentation as the query of a URL: an extension of `ediffi serve`; other servers ignore it. */
export function queryOf({ regions, statistic, maps, slices = 1 }: Instrumentation = {}): string {
  const query = new URLSearchParams();
  if (regions) query.set('regions', statistic ?? 'max');
  if (maps) query.set('maps', String(maps));
  if (slices !== 1) query.set('slices', String(slices));
  return query.size > 0 ? `?${query.toString()}` : '';
}

/** What `queryOf` wrote. */
export function instrumentationOf(query: URLSearchParams): Instrumentation {
  const [regions, maps, slices] = [query.get('regions'), query.get('maps'), query.get('slices')];
  return {
    ...(regions !== null && { regions: true, statistic: regions === 'std' ? 'std' : 'max' }),
    ...(maps !== null && { maps: maps === 'true' ? true : maps === 'layer' ? 'layer' : maps.split(',').map(Number) }),
    ...(slices !== null && { slices: Number(slices) }),
  };
}

/** What `ediffi serve` adds to metadata, under `parameters`: names of sizes, the hash of the file, where text enters. */
export interface Extension {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly sha256: string;
  readonly sites?: GraphSites;
}
