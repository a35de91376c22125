import { describe, expect, it } from 'vitest';
import { backendCases } from './conformance.js';
import { ortNode } from './ort-node.js';
import { reference } from './reference.js';

const backends = { 'ort-node': () => ortNode(), reference: () => reference() };

for (const [name, create] of Object.entries(backends)) {
  describe(`conformance: ${name}`, () => {
    for (const { name: title, run } of backendCases(create)) it(title, async () => expect(await run()).toBeUndefined());
  });
}
