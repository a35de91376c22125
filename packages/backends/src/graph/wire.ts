/*
 * Protobuf's wire format, just enough for ONNX: fields are read as views and written back untouched, so that a graph keeps every byte
 * that we do not understand, and weights are never copied before the file is put together again.
 */
import { ModelError } from '@ediffi/core';

/** One field of a message. `raw` is the field with its tag, `value` the payload (for varints: the number). */
export interface Field {
  readonly number: number;
  readonly type: number;
  readonly raw: Uint8Array;
  readonly value: Uint8Array;
  readonly varint: bigint;
}

const NO_BYTES = new Uint8Array(0);

/** Fields of a message in file order. Throws ModelError when the bytes end inside a field (a truncated file). */
export function* fields(message: Uint8Array, what = 'ONNX file'): Generator<Field> {
  let at = 0;
  const fail = (): never => {
    throw new ModelError(`${what}: the bytes end or break at offset ${at} of ${message.length} — the file is truncated or no ONNX model`, what);
  };
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined || shift > 63n) return fail();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = Number(varint());
    const [number, type] = [tag >>> 3, tag & 7];
    if (number === 0) fail();
    let value: Uint8Array = NO_BYTES;
    let number64 = 0n;
    if (type === 0) number64 = varint();
    else if (type === 1 || type === 5) value = message.subarray(at, (at += type === 1 ? 8 : 4));
    else if (type === 2) {
      const length = Number(varint());
      value = message.subarray(at, (at += length));
    } else fail();
    if (at > message.length) fail();
    yield { number, type, raw: message.subarray(start, at), value, varint: number64 };
  }
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** UTF-8 payload. */
export const text = (bytes: Uint8Array): string => decoder.decode(bytes);

/** A varint, two's complement for negative numbers. */
export function writeVarint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    out.push(rest ? low | 0x80 : low);
  } while (rest);
  return Uint8Array.from(out);
}

/** One field: a varint for numbers, else length-delimited. */
export function field(number: number, value: number | bigint | string | Uint8Array): Uint8Array {
  if (typeof value === 'number' || typeof value === 'bigint') return concat([writeVarint(number << 3), writeVarint(value)]);
  const bytes = typeof value === 'string' ? encoder.encode(value) : value;
  return concat([writeVarint((number << 3) | 2), writeVarint(bytes.length), bytes]);
}

/** Joins byte runs into one array. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
