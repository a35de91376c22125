import { CapabilityError, OptionError, type Backend } from '@ediffi/core';
import type { AutoOptions } from './auto.node.js';

export type { AutoOptions } from './auto.node.js';

const DEVICES = ['auto', 'cpu', 'webgpu', 'cuda', 'reference'];

/** The backend for browsers. There is none for pictures yet: rejects with CapabilityError, except for the slow 'reference'. */
export async function createBackend({ device = 'auto' }: AutoOptions = {}): Promise<Backend> {
  if (!DEVICES.includes(device)) throw new OptionError('device', device, `one of ${DEVICES.join(', ')}`);
  if (device === 'reference') return (await import('./reference.js')).reference();
  throw new CapabilityError('device', `device '${device}' is not supported in browsers yet — run in Node, or pass { device: 'reference' } for the slow pure-TypeScript interpreter`, { code: 'DEVICE', device });
}
