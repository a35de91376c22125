/* UTF-8 and base64 without TextEncoder and atob, which are of the platform, not of the language. */
import { ModelError } from '@ediffi/core';

/** Bytes of well-formed text. */
export function utf8Of(text: string): number[] {
  return [...text].flatMap((char) => {
    const c = char.codePointAt(0)!;
    const tail = (shift: number): number => 0x80 | ((c >> shift) & 0x3f);
    if (c < 0x80) return [c];
    if (c < 0x800) return [0xc0 | (c >> 6), tail(0)];
    return c < 0x10000 ? [0xe0 | (c >> 12), tail(6), tail(0)] : [0xf0 | (c >> 18), tail(12), tail(6), tail(0)];
  });
}

/** Text of UTF-8 bytes. Throws URIError when they are none. */
export const textOf = (bytes: Uint8Array): string => decodeURIComponent(Array.from(bytes, (b) => `%${b.toString(16).padStart(2, '0')}`).join(''));

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Bytes of base64 text. Throws ModelError for other characters. */
export function base64Bytes(text: string): Uint8Array {
  const digits = text.replace(/=+$/, '');
  const out = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let [bits, count, at] = [0, 0, 0];
  for (const digit of digits) {
    const value = DIGITS.indexOf(digit);
    if (value < 0) throw new ModelError(`tokenizer: ${JSON.stringify(digit)} is no base64`, 'tokenizer.json');
    bits = ((bits << 6) | value) & 0xffffff;
    count += 6;
    if (count >= 8) out[at++] = (bits >> (count -= 8)) & 0xff;
  }
  return out;
}
