import { CapabilityError } from '@ediffi/core';
import type { openParts as inNode } from './open.js';

export type { OpenOptions } from './open.js';

/** Pages have no folders and no hub cache: rejects with CapabilityError. */
export const openParts: typeof inNode = () =>
  Promise.reject(new CapabilityError('Pipeline.open', 'Pipeline.open reads folders and hub caches, which pages have not — use loadEdiffi({ backend, baseUrl }), or new Pipeline(parts) with sessions of your backend', { code: 'BROWSER' }));
