/*
 * Protobuf's wire format, just enough for ONNX: fields are read as views and written back untouched, so that a graph keeps every byte
 * that we do not understand, and weights are never copied before the file is put together again.
 */
import { ModelError } from '@ediffi/core';

/** One field of a message. `raw` is the field with its tag, `value` the payload, `varint` the number (as int64) of varints. */
export interface Field {
  readonly number: number;
  readonly type: number;
  readonly raw: Uint8Array;
  readonly value: Uint8Array;
  readonly varint: number;
}

const NO_BYTES = new Uint8Array(0);

/** Where the varint at `at` ends; −1 when the bytes end first or it is too long. */
function skipVarint(bytes: Uint8Array, at: number): number {
  for (let end = at; end < at + 10; end++) {
    const byte = bytes[end];
    if (byte === undefined) return -1;
    if (byte < 0x80) return end + 1;
  }
  return -1;
}

/** A whole varint, as signed 64 bits. Negative numbers take ten bytes; they alone need big integers to come out exact. */
export function readVarint(bytes: Uint8Array, at: number): number {
  let [value, scale, i] = [0, 1, at];
  for (; bytes[i]! >= 0x80 && i < at + 9; i++, scale *= 128) value += (bytes[i]! & 0x7f) * scale;
  if (i < at + 9) return value + bytes[i]! * scale;
  let wide = 0n;
  for (let k = 9; k >= 0; k--) wide = (wide << 7n) | BigInt(bytes[at + k]! & 0x7f);
  return Number(BigInt.asIntN(64, wide));
}

/** Packed varints, as signed 64 bits. */
export function packedVarints(bytes: Uint8Array): number[] {
  const out: number[] = [];
  for (let at = 0; at >= 0 && at < bytes.length; at = skipVarint(bytes, at)) out.push(readVarint(bytes, at));
  return out;
}

/** Fields of a message in file order. Throws ModelError when the bytes end inside a field (a truncated file). */
export function* fields(message: Uint8Array, what = 'ONNX file'): Generator<Field> {
  let at = 0;
  const fail = (): never => {
    throw new ModelError(`${what}: the bytes end or break at offset ${at} of ${message.length} — the file is truncated or no ONNX model`, what);
  };
  const varint = (): number => {
    const start = at;
    at = skipVarint(message, start);
    return at < 0 ? fail() : readVarint(message, start);
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    const [number, type] = [tag >>> 3, tag & 7];
    if (number === 0) fail();
    let value: Uint8Array = NO_BYTES;
    let number64 = 0;
    if (type === 0) number64 = varint();
    else if (type === 1 || type === 5) value = message.subarray(at, (at += type === 1 ? 8 : 4));
    else if (type === 2) {
      const length = varint();
      if (length < 0) fail();
      value = message.subarray(at, (at += length));
    } else fail();
    if (at > message.length) fail();
    yield { number, type, raw: message.subarray(start, at), value, varint: number64 };
  }
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** UTF-8 payload. Names are short and ASCII: reading them byte by byte is several times faster than a decoder call each. */
export function text(bytes: Uint8Array): string {
  if (bytes.length > 64) return decoder.decode(bytes);
  let out = '';
  for (const byte of bytes) {
    if (byte > 127) return decoder.decode(bytes);
    out += String.fromCharCode(byte);
  }
  return out;
}

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

/** The start of a length-delimited field whose payload follows. */
export const opening = (number: number, length: number): Uint8Array => concat([writeVarint((number << 3) | 2), writeVarint(length)]);

/** One field: a varint for numbers, else length-delimited. */
export function field(number: number, value: number | bigint | string | Uint8Array): Uint8Array {
  if (typeof value === 'number' || typeof value === 'bigint') return concat([writeVarint(number << 3), writeVarint(value)]);
  const bytes = typeof value === 'string' ? encoder.encode(value) : value;
  return concat([opening(number, bytes.length), bytes]);
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
