// A researcher swaps one expert: any function from noisy to clean pictures is one. No subclass, no registry, and the solver never knows.
import { bind, ExpertEnsemble, guided, lincomb, randn, type Denoiser, type DenoiserLike, type HostTensor } from '@ediffi/core';
import { heun, karras } from '@ediffi/sampler';
import { loadBase } from 'ediffi';

/** My low-noise expert: pulls every picture a little towards gray where the old one would have added detail. */
const mine = (old: Denoiser, pull = 0.2): DenoiserLike => ({
  denoise: async (x, sigma, condition, options) => lincomb([1 - pull, await old.denoise(x, sigma, condition, options)]),
});

/** Samples one prompt with the original ensemble and with the swapped one; answers with the standard deviations of the two pictures. */
export async function main(prompt = 'a red apple on the grass', steps = 12): Promise<{ before: number; after: number; plan: string }> {
  const { parts, dispose } = await opened();
  try {
    const ensemble = parts.base.denoiser as ExpertEnsemble;
    const name = ensemble.experts.at(-1)!.name; // the expert of the lowest noise
    const swapped = ensemble.with(name, mine(ensemble));
    const [t5, clip] = await Promise.all([parts.encoders['t5']!.encode([prompt]), parts.encoders['clip']!.encode([prompt])]);
    const condition = { positive: { prompts: [prompt], embeddings: { t5, clip } }, negative: { embeddings: {} } };
    const sigmas = karras(steps, ensemble);
    const x = await lincomb([sigmas[0]!, randn([1, 3, parts.base.size, parts.base.size], 7)]);

    const sampled = async (denoiser: Denoiser): Promise<HostTensor> => {
      const steps = heun(bind(guided(denoiser, (sigma) => (sigma > 5 ? 4 : 2)), condition), x, sigmas);
      for (;;) {
        const { done, value } = await steps.next();
        if (done) return (await value.toHost()) as HostTensor;
      }
    };
    const [before, after] = [deviation(await sampled(ensemble)), deviation(await sampled(swapped))];
    await swapped.dispose();
    return { before, after, plan: ensemble.plan(sigmas).map((entry) => `${entry.name} ${entry.steps}`).join(', ') };
  } finally {
    await dispose();
  }
}

async function opened() {
  const pipeline = await loadBase();
  return { parts: pipeline.parts, dispose: () => pipeline.dispose() };
}

function deviation({ data }: HostTensor): number {
  const mean = data.reduce((a, b) => a + b, 0) / data.length;
  return Math.sqrt(data.reduce((sum, v) => sum + (v - mean) ** 2, 0) / data.length);
}
