import { describe, expect, it } from 'vitest';
import { backendCases, describeBackend } from './conformance.js';
import { ortNode } from './ort-node.js';
import { reference } from './reference.js';

describeBackend('ort-node', () => ortNode(), { describe, it });
describeBackend('reference', () => reference(), { describe, it });

describe('the suite itself', () => {
  it('reports what a blocking backend cannot do as skipped', () => {
    const skipped: string[] = [];
    describeBackend('blocking', () => reference(), { describe: (_, body) => body(), it: Object.assign(() => undefined, { skip: (name: string) => skipped.push(name) }) }, { blocking: 'works on the page' });
    expect(skipped).toEqual([
      'lets timers tick while it works (works on the page)',
      'loads a session while another works (works on the page)',
      'answers an abort in the middle of a call, and works afterwards (works on the page)',
    ]);
  });
  it('fails a backend that gives wrong numbers', async () => {
    const wrong = () => {
      const backend = reference();
      return { ...backend, load: async (...load: Parameters<typeof backend.load>) => ({ ...(await backend.load(...load)), run: async () => ({}) }) };
    };
    const results = await Promise.allSettled(backendCases(wrong).map(({ run }) => run()));
    expect(results.filter((r) => r.status === 'rejected').length).toBeGreaterThan(results.length / 2);
  });
});
