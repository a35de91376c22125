/* A link that holds everything: settings and painted pixels, deflated into the part of the address that servers never see. */
import type { Layer } from './board.js';

/** What a link holds. */
export interface Shared {
  readonly prompt: string;
  readonly seed: number;
  readonly candidates: number;
  readonly steps: number;
  readonly solver: string;
  readonly guidance: number;
  readonly paint: number;
  readonly width: number;
  readonly height: number;
  readonly layers: readonly Layer[];
  readonly labels: Uint8Array;
}

const through = async (bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());

/** The hash of a link. */
export async function encode({ labels, ...rest }: Shared): Promise<string> {
  const head = new TextEncoder().encode(`${JSON.stringify(rest)}\0`);
  const bytes = new Uint8Array(head.length + labels.length);
  bytes.set(head);
  bytes.set(labels, head.length);
  const packed = await through(bytes, new CompressionStream('deflate-raw'));
  return btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join('')).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** What a hash holds, or undefined when it is none of ours. */
export async function decode(hash: string): Promise<Shared | undefined> {
  try {
    const packed = Uint8Array.from(atob(hash.replace(/^#/, '').replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
    const bytes = await through(packed, new DecompressionStream('deflate-raw'));
    const end = bytes.indexOf(0);
    const rest = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as Omit<Shared, 'labels'>;
    const labels = bytes.slice(end + 1);
    const layers = rest.layers.filter(({ id, phrase, color }) => Number.isInteger(id) && typeof phrase === 'string' && /^#[0-9a-f]{6}$/.test(color));
    return labels.length === rest.width * rest.height && typeof rest.prompt === 'string' ? { ...rest, layers, labels } : undefined;
  } catch {
    return undefined;
  }
}
