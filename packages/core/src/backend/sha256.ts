import { CapabilityError } from '../errors/errors.js';

/** What is used of Web Crypto, which Node and pages share; this package is written for neither. */
interface WebCrypto {
  readonly subtle?: { digest(algorithm: 'SHA-256', bytes: Uint8Array): Promise<ArrayBuffer> };
}

/** SHA-256 in lower-case hexadecimal, by Web Crypto, off the JavaScript thread; `name` is what the error calls the bytes. Rejects with CapabilityError in a page that has no Web Crypto. */
export async function sha256(bytes: Uint8Array, name: string): Promise<string> {
  const subtle = (globalThis as { readonly crypto?: WebCrypto }).crypto?.subtle;
  if (!subtle) throw new CapabilityError('hash check', `${name}: SHA-256 needs Web Crypto, which this page has not — serve it over https or from localhost, or give the model without sha256`);
  const digest = new Uint8Array(await subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
