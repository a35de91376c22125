import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bind, CapabilityError, CoverageError, cutSigma, DisposedError, expertInterval, ExpertEnsemble, float32, floats, flow, Generator, normalQuantile, OptionError, quantileEdge, SigmaRangeError, splitRange, type Denoiser, type Expert } from '../index.js';
import { gaussian } from '../testing/index.js';

const { cases } = JSON.parse(readFileSync(new URL('../../golden/functions.json', import.meta.url), 'utf8')) as {
  cases: { id: string; fn: string; args: Record<string, number>; in: Record<string, { data: number[] }>; out: unknown }[];
};
const x = float32([1, -1], [1, 2]);
const model = (name: string, log: string[] = [], exact = gaussian(0.2, 0.5)): Denoiser<null> => ({
  sigmaMin: 0,
  sigmaMax: 80,
  alpha: () => 1,
  denoise: async (y, sigma) => (log.push(name), exact.denoise(y, sigma)),
  dispose: async () => void log.push(`free ${name}`),
});
const experts = (log: string[] = [], lazy = false): Expert<null>[] =>
  [['high', 5, 80], ['middle', 0.3, 5], ['low', 0.01, 0.3]].map(([name, sigmaMin, sigmaMax]) => ({
    name: String(name), sigmaMin: Number(sigmaMin), sigmaMax: Number(sigmaMax),
    denoiser: lazy ? async () => (log.push(`load ${name}`), model(String(name), log)) : model(String(name), log),
  }));
/** Experts that load, work and free slowly; `most()` is how many were ever in memory at once. */
function slow(ms: () => number = () => 5): { made: (Expert<null> & { denoiser: () => Promise<Denoiser<null>> })[]; log: string[]; most: () => number } {
  const log: string[] = [];
  let [now, most] = [0, 0];
  const made = experts(log, true).map((expert) => ({
    ...expert,
    denoiser: async () => {
      log.push(`load ${expert.name}`);
      most = Math.max(most, ++now);
      await pause(ms());
      let freed = false;
      const inner = model(expert.name, log);
      const denoise: Denoiser<null>['denoise'] = async (y, sigma, c) => {
        const out = await inner.denoise(y, sigma, c);
        await pause(ms());
        if (freed) log.push(`late ${expert.name}`);
        return out;
      };
      const dispose = async (): Promise<void> => (await pause(ms()), (freed = true), now--, inner.dispose());
      return { ...inner, denoise, dispose };
    },
  }));
  return { made, log, most: () => most };
}
const pause = (ms = 5): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('intervals', () => {
  it('equal the paper’s edges (ediffi-facts §1.3)', () => {
    const edges: [number, number, number][] = [[1, 1, 0.3012], [2, 3, 0.6766], [3, 1, 0.0757], [3, 7, 1.1977], [5, 31, 2.8159], [7, 127, 5.4798], [8, 255, 7.3308], [9, 511, 9.6096]];
    for (const [level, k, sigma] of edges) expect(quantileEdge(level, k)).toBeCloseTo(sigma, 4);
  });
  it('equal the golden intervals and quantiles', () => {
    const infinite = (v: number | string): number => (v === 'inf' ? Infinity : Number(v));
    let checked = 0;
    for (const { id, fn, args, in: input, out } of cases) {
      const noise = { mean: args['p_mean']!, std: args['p_std']! };
      if (fn === 'expert_interval') {
        const { lo, hi } = out as { lo: number; hi: number };
        const { sigmaMin, sigmaMax } = expertInterval(args['level']!, args['index']!, noise);
        for (const [a, b] of [[sigmaMin, infinite(lo)], [sigmaMax, infinite(hi)]] as const) expect(a === b || Math.abs(a / b - 1) < 1e-11, id).toBe(true);
        checked++;
      }
      if (fn === 'expert_intervals') {
        const { boundaries } = out as { boundaries: (number | string)[] };
        boundaries.forEach((b, k) => {
          const edge = quantileEdge(args['level']!, k, noise);
          expect(edge === infinite(b) || Math.abs(edge / infinite(b) - 1) < 1e-11, id).toBe(true);
        });
        checked++;
      }
      if (fn === 'lognormal_quantile') {
        const { probit } = out as { probit: { data: number[] } };
        input['p']!.data.forEach((p, i) => expect(Math.abs(normalQuantile(p) - probit.data[i]!), id).toBeLessThan(1e-12));
        checked++;
      }
      if (fn === 'expert_sample') { // an expert's training noise: σ with u inside the interval's share of the log-normal
        const { sigma } = out as { sigma: { data: number[] } };
        input['u']!.data.forEach((u, i) => {
          const drawn = Math.exp(noise.mean + noise.std * normalQuantile((args['index']! + u) / 2 ** args['level']!));
          expect(Math.abs(drawn / sigma.data[i]! - 1), id).toBeLessThan(1e-9);
          const { sigmaMin, sigmaMax } = expertInterval(args['level']!, args['index']!, noise);
          expect(drawn > sigmaMin && drawn <= sigmaMax, id).toBe(true);
        });
        checked++;
      }
    }
    expect(checked).toBe(cases.filter((c) => ['expert_interval', 'expert_intervals', 'lognormal_quantile', 'expert_sample'].includes(c.fn)).length);
  });
  it('come in every unit', () => {
    expect(cutSigma({ sigma: 2 })).toBe(2);
    expect(cutSigma({ logSnr: -2 * Math.log(3) })).toBeCloseTo(3);
    expect(cutSigma({ timestep: 200, sigmaOf: (t) => t / 100 })).toBe(2);
    expect(cutSigma({ quantile: 1, level: 1 })).toBeCloseTo(0.3012, 4);
    expect(splitRange({ sigmaMin: 0.01, sigmaMax: 80 }, [{ sigma: 0.3 }, { sigma: 5 }])).toEqual([{ sigmaMin: 5, sigmaMax: 80 }, { sigmaMin: 0.3, sigmaMax: 5 }, { sigmaMin: 0.01, sigmaMax: 0.3 }]);
    expect(() => splitRange({ sigmaMin: 0.1, sigmaMax: 1 }, [{ sigma: 2 }])).toThrow(OptionError);
  });
});

describe('ExpertEnsemble', () => {
  it('calls exactly one expert per evaluation, by that call’s own σ', async () => {
    const log: string[] = [];
    const D = bind(new ExpertEnsemble(experts(log)), null);
    for (const sigma of [80, 5.01, 5, 1, 0.3, 0.02, 0.01]) await D(x, sigma);
    expect(log).toEqual(['high', 'high', 'middle', 'middle', 'low', 'low', 'low']);
  });
  it('equals the single model bit for bit when its experts are equal', async () => {
    const [one, many] = [bind(model('one'), null), bind(new ExpertEnsemble(experts()), null)];
    for (const sigma of [60, 2, 0.1]) expect(await floats(await many(x, sigma))).toEqual(await floats(await one(x, sigma)));
  });
  it('refuses gaps and overlaps at construction, with numbers', () => {
    const [high, middle, low] = experts();
    expect(() => new ExpertEnsemble([high!, low!])).toThrow(CoverageError);
    try {
      new ExpertEnsemble([high!, { ...middle!, sigmaMax: 6 }, { ...low!, sigmaMax: 0.2 }]);
      expect.unreachable();
    } catch (error) {
      expect(CoverageError.isInstance(error) && [error.gaps, error.overlaps]).toEqual([[[0.2, 0.3]], [[5, 6]]]);
    }
    expect(() => new ExpertEnsemble([])).toThrow(OptionError);
    expect(() => new ExpertEnsemble([high!, { ...middle!, name: 'high' }])).toThrow(OptionError);
  });
  it('refuses σ outside', async () => {
    const ensemble = new ExpertEnsemble(experts());
    for (const sigma of [81, 0.009, 0, Number.NaN]) expect(() => ensemble.at(sigma)).toThrow(SigmaRangeError);
    await expect(ensemble.denoise(x, 100, null)).rejects.toThrow(SigmaRangeError);
  });
  it('plans a grid before it runs', () => {
    expect(new ExpertEnsemble(experts()).plan(Float64Array.of(80, 20, 4, 0.2, 0.05, 0.01, 0))).toEqual([{ name: 'high', steps: 2 }, { name: 'middle', steps: 1 }, { name: 'low', steps: 3 }]);
  });
  it('swaps one expert into a new ensemble', async () => {
    const log: string[] = [];
    const first = new ExpertEnsemble(experts(log));
    const second = first.with('low', model('mine', log));
    await first.denoise(x, 0.1, null);
    await second.denoise(x, 0.1, null);
    expect(log).toEqual(['low', 'mine']);
    expect(() => first.with('nobody', model('mine'))).toThrow(/high, middle, low/);
  });
  it('takes anything with denoise as an expert, ready or loaded, and refuses what has none', async () => {
    const [high, middle, low] = experts();
    const { denoise } = gaussian(0.2, 0.5);
    const ensemble = new ExpertEnsemble<null>([high!, { ...middle!, denoiser: { denoise } }, { ...low!, denoiser: async () => ({ denoise }) }]);
    const whole = bind(new ExpertEnsemble(experts()), null);
    for (const sigma of [60, 2, 0.1]) expect(await floats(await ensemble.denoise(x, sigma, null))).toEqual(await floats(await whole(x, sigma)));
    expect(ensemble.alpha(3)).toBe(1);
    await ensemble.dispose();
    const nothing = {} as Denoiser<null>;
    expect(() => ensemble.with('low', nothing)).toThrow(/expert 'low': expected an object with denoise\(x, sigma, condition\)/);
    await expect(ensemble.with('low', async () => nothing).denoise(x, 0.1, null)).rejects.toSatisfy(OptionError.isInstance);
  });
  it('loads on first use and the next one while the current works', async () => {
    const log: string[] = [];
    const ensemble = new ExpertEnsemble(experts(log, true));
    expect(log).toEqual([]);
    await ensemble.denoise(x, 50, null);
    await pause();
    expect(log).toEqual(['load high', 'high', 'load middle']);
    await ensemble.dispose();
    expect(log.slice(3).sort()).toEqual(['free high', 'free middle']);
    await expect(ensemble.denoise(x, 50, null)).rejects.toThrow(/disposed/);
  });
  it('keeps within its bound, never evicting an expert at work', async () => {
    const log: string[] = [];
    const ensemble = new ExpertEnsemble(experts(log, true), { resident: 1 });
    await ensemble.denoise(x, 50, null);
    await ensemble.denoise(x, 1, null);
    await ensemble.denoise(x, 0.1, null);
    expect(log).toEqual(['load high', 'high', 'free high', 'load middle', 'middle', 'free middle', 'load low', 'low']);
    await Promise.all([ensemble.denoise(x, 0.2, null), ensemble.denoise(x, 50, null), ensemble.denoise(x, 0.1, null)]);
    const loaded: number[] = [];
    log.reduce((n, entry) => (loaded.push(n + Number(entry.startsWith('load')) - Number(entry.startsWith('free'))), loaded.at(-1)!), 0);
    expect(Math.max(...loaded)).toBe(1);
    expect(log.filter((entry) => entry === 'low')).toHaveLength(3);
    await ensemble.dispose();
  });
  it('holds its bound when calls start at once from empty', async () => {
    const { made, log, most } = slow();
    const ensemble = new ExpertEnsemble(made, { resident: 1 });
    await Promise.all([50, 0.1, 1, 60, 0.2].map((sigma) => ensemble.denoise(x, sigma, null)));
    expect(log.filter((entry) => !entry.includes(' '))).toHaveLength(5);
    expect(most()).toBe(1);
    expect(log.filter((entry) => entry.startsWith('late'))).toEqual([]);
    await ensemble.dispose();
  });
  it('prefetches the third expert too when two may stay', async () => {
    const { made, log, most } = slow();
    const ensemble = new ExpertEnsemble(made, { resident: 2 });
    for (const sigma of [50, 40, 2, 1]) await ensemble.denoise(x, sigma, null);
    while (!log.includes('load low')) await pause();
    expect(log).toEqual(['load high', 'high', 'load middle', 'high', 'middle', 'middle', 'free high', 'load low']);
    expect(most()).toBe(2);
    await ensemble.dispose();
  });
  it('lets pictures at different noise keep their experts', async () => {
    const { made, log } = slow();
    const ensemble = new ExpertEnsemble(made, { resident: 2 });
    for (const [a, b] of [[50, 2], [45, 1.5], [40, 1], [35, 0.9]]) for (const sigma of [a!, b!]) await ensemble.denoise(x, sigma, null);
    expect(log.filter((entry) => entry.startsWith('load'))).toEqual(['load high', 'load middle']);
    await ensemble.dispose();
  });
  it('keeps bound and experts under any mix of calls, failures and disposal', async () => {
    const random = new Generator(1);
    for (let run = 0; run < 24; run++) {
      const resident = random.integer(1, 4);
      const { made, log, most } = slow(() => random.integer(0, 3));
      const flaky = made.map((expert) => ({ ...expert, denoiser: async () => { if (random.integer(0, 8) === 0) throw new Error('no luck'); return expert.denoiser(); } }));
      const ensemble = new ExpertEnsemble(flaky, { resident });
      const calls = Array.from({ length: 12 }, async () => {
        await pause(random.integer(0, 12));
        const controller = new AbortController();
        if (random.integer(0, 3) === 0) setTimeout(() => controller.abort(new Error('no luck, aborted')), random.integer(0, 8));
        return ensemble.denoise(x, [50, 1, 0.1][random.integer(0, 3)]!, null, { signal: controller.signal });
      });
      const disposed = pause(random.integer(8, 40)).then(() => ensemble.dispose());
      const outcomes = await Promise.allSettled(calls);
      await disposed;
      await pause(6);
      for (const outcome of outcomes) if (outcome.status === 'rejected' && !DisposedError.isInstance(outcome.reason)) expect(String(outcome.reason)).toContain('no luck');
      expect(most()).toBeLessThanOrEqual(resident);
      const count = (what: string): number => log.filter((entry) => entry.startsWith(what)).length;
      expect([count('late'), count('load')]).toEqual([0, count('free')]);
    }
  });
  it('disposes after the call at work, and refuses those that wait', async () => {
    const { made, log } = slow();
    const ensemble = new ExpertEnsemble(made, { resident: 1 });
    const [atWork, waiting] = [ensemble.denoise(x, 50, null), ensemble.denoise(x, 0.1, null)];
    const refused = expect(waiting).rejects.toSatisfy(DisposedError.isInstance);
    while (!log.includes('high')) await pause();
    await Promise.all([ensemble.dispose(), ensemble.dispose(), refused]);
    expect((await atWork).shape).toEqual([1, 2]);
    expect(log).toEqual(['load high', 'high', 'free high']);
  });
  it('answers an abort while an expert loads, which goes on for others and stays', async () => {
    const { made, log } = slow(() => 40);
    const ensemble = new ExpertEnsemble(made, { resident: 1 });
    const controller = new AbortController();
    const [aborted, other] = [ensemble.denoise(x, 50, null, { signal: controller.signal }), ensemble.denoise(x, 60, null)];
    setTimeout(() => controller.abort(new Error('enough')), 5);
    await expect(aborted).rejects.toThrow('enough');
    expect(log).toEqual(['load high']); // still at it
    expect((await other).shape).toEqual([1, 2]);
    const later = new AbortController();
    const alone = ensemble.denoise(x, 1, null, { signal: later.signal });
    while (!log.includes('load middle')) await pause();
    later.abort(new Error('enough again'));
    await expect(alone).rejects.toThrow('enough again');
    await ensemble.denoise(x, 1, null, { signal: new AbortController().signal });
    expect(log).toEqual(['load high', 'high', 'free high', 'load middle', 'middle']); // what the aborted call loaded
    await expect(ensemble.denoise(x, 0.1, null, { signal: later.signal })).rejects.toThrow('enough again');
    await ensemble.denoise(x, 0.1, null); // nothing holds it any more
    await ensemble.dispose();
    expect(log.slice(5)).toEqual(['free middle', 'load low', 'low', 'free low']);
  });
  it('answers an abort while an expert waits for room, without a load, and lets the next one in', async () => {
    const { made, log } = slow(() => 30);
    const ensemble = new ExpertEnsemble(made, { resident: 1 });
    const controller = new AbortController();
    const atWork = ensemble.denoise(x, 50, null);
    const waiting = [1, 0.1].map((sigma) => expect(ensemble.denoise(x, sigma, null, { signal: controller.signal })).rejects.toThrow('enough')); // the second waits for the first
    const next = ensemble.denoise(x, 0.2, null);
    setTimeout(() => controller.abort(new Error('enough')), 5);
    await Promise.all(waiting);
    expect(log).toEqual(['load high']);
    await Promise.all([atWork, next]);
    expect(log).toEqual(['load high', 'high', 'free high', 'load low', 'low']);
    await ensemble.dispose();
  });
  it('does not let a loader that throws harm the expert at work', async () => {
    const broken: Expert<null>['denoiser'] = () => { throw new Error('no file'); };
    const ensemble = new ExpertEnsemble<null>(experts().map((expert) => (expert.name === 'middle' ? { ...expert, denoiser: broken } : expert)));
    expect((await ensemble.denoise(x, 50, null)).shape).toEqual([1, 2]);
    await expect(ensemble.denoise(x, 1, null)).rejects.toThrow('no file');
  });
  it('has the α of its experts, and refuses two kinds', async () => {
    const flows = (lazy: boolean): Expert<null>[] => {
      const made = flow<null>(async (y) => y, { sigmaMin: 0.001, sigmaMax: 1, timestep: (s) => s });
      return [['a', 0.5, 1], ['b', 0, 0.5]].map(([name, sigmaMin, sigmaMax]) => ({ name: String(name), sigmaMin: Number(sigmaMin), sigmaMax: Number(sigmaMax), denoiser: lazy ? async () => made : made }));
    };
    expect(new ExpertEnsemble(flows(false)).alpha(0.25)).toBe(0.75);
    expect(new ExpertEnsemble(flows(true), { alpha: (s) => 1 - s }).with('a', async () => model('mine')).alpha(0.25)).toBe(0.75);
    await expect(new ExpertEnsemble(flows(true)).denoise(x, 0.7, null)).rejects.toSatisfy(CapabilityError.isInstance);
    expect(() => new ExpertEnsemble(flows(false)).with('b', model('EDM'))).toThrow(CapabilityError);
  });
  it('tries again after a load that failed', async () => {
    let tries = 0;
    const flaky: Expert<null> = { name: 'flaky', sigmaMin: 0, sigmaMax: 80, denoiser: async () => { if (tries++ === 0) throw new Error('no memory'); return model('flaky'); } };
    const ensemble = new ExpertEnsemble([flaky]);
    await expect(ensemble.denoise(x, 1, null)).rejects.toThrow('no memory');
    expect((await ensemble.denoise(x, 1, null)).shape).toEqual([1, 2]);
  });
  it('answers with its expert’s guidance', () => {
    const [high, middle, low] = experts();
    const ensemble = new ExpertEnsemble([{ ...high!, guidance: 7 }, middle!, low!]);
    expect([ensemble.guidanceAt(50), ensemble.guidanceAt(1)]).toEqual([7, undefined]);
  });
});
