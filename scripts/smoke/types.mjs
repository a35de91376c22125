// Types of the installed tarballs at `strict`, by every resolution that users have; those of core, sampler and encoders without DOM and Node.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PLAIN = `
import { bind, ExpertEnsemble, PaintWithWords, float32, type Denoiser } from '@ediffi/core';
import { heun, karras, type Step } from '@ediffi/sampler';
import { PromptTokenizer } from '@ediffi/encoders';
declare const denoiser: Denoiser;
const ensemble = new ExpertEnsemble([{ name: 'all', sigmaMin: 0, sigmaMax: 80, denoiser }]);
const steps: AsyncGenerator<Step, unknown, void> = heun(bind(ensemble, { embeddings: {} }), float32([0], [1]), karras(4, { sigmaMin: 0.1, sigmaMax: 10 }));
export const all: [string, unknown, unknown, unknown] = [ensemble.experts[0]!.name, steps, PaintWithWords, PromptTokenizer];
`;
const WHOLE = `
import { loadEdiffi, Pipeline, type GeneratedImage } from 'ediffi';
import { ortWeb } from '@ediffi/backends/ort-web';
import { remote } from '@ediffi/backends/remote';
export const paint = async (): Promise<GeneratedImage> => (await loadEdiffi({ backend: ortWeb({ runtime: '/x.mjs' }) })).generate('a cat', { seed: 7 });
export const elsewhere = (): ReturnType<typeof loadEdiffi> => loadEdiffi({ backend: remote('http://localhost:8000'), verify: false });
export const open: typeof Pipeline.open = Pipeline.open;
// @ts-expect-error: a seed is a number
export const wrong = async (): Promise<GeneratedImage> => (await loadEdiffi()).generate('a cat', { seed: 'seven' });
`;

/** Writes the programs and their configurations; answers with a name and arguments of tsc for each. */
export function types(project) {
  const strict = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, target: 'es2022', skipLibCheck: false };
  const cases = {
    'core, sampler and encoders without DOM and Node': [PLAIN, { module: 'node16', lib: ['es2022'], types: [] }],
    'ediffi in Node (node16)': [WHOLE, { module: 'node16', lib: ['es2022'], types: ['node'], skipLibCheck: true }],
    'ediffi in a bundler': [WHOLE, { module: 'esnext', moduleResolution: 'bundler', customConditions: ['browser'], lib: ['es2022', 'dom'], types: [], skipLibCheck: true }],
  };
  return Object.entries(cases).map(([name, [program, options]], i) => {
    const folder = join(project, `types-${i}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'program.ts'), program);
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...strict, ...options }, files: ['program.ts'] }));
    return { name, args: ['node_modules/typescript/bin/tsc', '-p', folder] };
  });
}
