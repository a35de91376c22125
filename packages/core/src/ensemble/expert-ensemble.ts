/*
 * An ensemble of expert denoisers (eDiff-I §3.2, arXiv 2211.01324): one network per range of noise, exactly one call per evaluation.
 * The expert is chosen by the σ of that very call, never by a step index: solvers that look at intermediate σ stay right, and
 * multistep history survives the change because the loop outside never sees it.
 */
import type { Conditioning } from '../conditioning/conditioning.js';
import { asDenoiser, type CallOptions, type Denoiser, type DenoiserLike } from '../denoiser/denoiser.js';
import { finiteNumber, integer } from '../errors/check.js';
import { CapabilityError, CoverageError, OptionError, SigmaRangeError } from '../errors/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import { coverage } from './intervals.js';
import { Residency } from './residency.js';

/** One denoiser and its noise range (sigmaMin, sigmaMax]. */
export interface Expert<C = Conditioning> {
  readonly name: string;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** Something with `denoise` (the caller's to dispose), or a function that loads it on first use (the ensemble's to dispose). */
  readonly denoiser: DenoiserLike<C> | (() => Promise<DenoiserLike<C>>);
  /** Overrides the guidance scale in this expert's range. */
  readonly guidance?: number;
}

/** Options of ExpertEnsemble. */
export interface EnsembleOptions {
  /** How many experts may be in memory at once. Default: all. With 2 or more, the next one loads while the current one works. */
  readonly resident?: number;
  /** α(σ) of all experts, needed when they load on first use and are not EDM-like: 1 − σ for rectified flow. Default: that of a ready-made expert, else 1. */
  readonly alpha?: (sigma: number) => number;
}

/**
 * Several denoisers that act as one.
 *
 * @example
 * ```ts
 * import { ExpertEnsemble, splitRange } from '@ediffi/core';
 * import { gaussian } from '@ediffi/core/testing';
 * import { karras } from '@ediffi/sampler';
 *
 * const ranges = splitRange({ sigmaMin: 0.01, sigmaMax: 40 }, [{ sigma: 2.7 }, { logSnr: 2.4 }]); // from high noise to low
 * const names = ['high', 'middle', 'low'];
 * const { denoise } = gaussian(0, 0.5); // stands for a network
 * const ensemble = new ExpertEnsemble(ranges.map((range, i) => ({ name: names[i]!, ...range, denoiser: { denoise } })));
 * console.log(ensemble.plan(karras(20, ensemble))); // who takes how many steps
 * ```
 */
export class ExpertEnsemble<C = Conditioning> implements Denoiser<C> {
  readonly experts: readonly Expert<C>[];
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly #residency: Residency<C>;
  readonly #options: EnsembleOptions;
  readonly #alpha: (sigma: number) => number;

  /** Experts in any order. Throws CoverageError on gaps or overlaps, OptionError on empty ranges or equal names, CapabilityError when α differs. */
  constructor(experts: readonly Expert<C>[], options: EnsembleOptions = {}) {
    if (!experts.length) throw new OptionError('experts', '[]', 'at least one expert');
    for (const { name, sigmaMin, sigmaMax, guidance } of experts) {
      if (!(sigmaMin >= 0 && sigmaMin < sigmaMax)) throw new OptionError(`expert '${name}'`, `(${sigmaMin}, ${sigmaMax}]`, 'a range with 0 ≤ sigmaMin < sigmaMax');
      if (experts.filter((e) => e.name === name).length > 1) throw new OptionError('expert name', name, 'a name that no other expert has');
      if (guidance !== undefined) finiteNumber(`guidance of expert '${name}'`, guidance);
    }
    const { gaps, overlaps } = coverage(experts);
    if (gaps.length || overlaps.length) throw new CoverageError(coverageMessage(experts, gaps, overlaps), gaps, overlaps);
    this.experts = [...experts].sort((a, b) => b.sigmaMax - a.sigmaMax);
    this.sigmaMax = this.experts[0]!.sigmaMax;
    this.sigmaMin = this.experts.at(-1)!.sigmaMin;
    this.#options = options;
    const ready = this.experts.map(({ denoiser }) => denoiser).find((denoiser) => typeof denoiser !== 'function');
    this.#alpha = options.alpha ?? ((sigma) => ready?.alpha?.(sigma) ?? 1);
    const limit = options.resident === undefined ? Infinity : integer('resident experts', options.resident, 1);
    this.#residency = new Residency(this.experts.map((expert) => this.#sameAlpha(expert)), limit);
  }

  /** The expert's denoiser, or its loader, refused where its α is not the ensemble's: solvers would mix two kinds of noise. */
  #sameAlpha(expert: Expert<C>): Denoiser<C> | (() => Promise<Denoiser<C>>) {
    const { denoiser, name, sigmaMin, sigmaMax } = expert;
    const check = (like: DenoiserLike<C>): Denoiser<C> => {
      const made = asDenoiser(like, `expert '${name}'`);
      const sigma = Number.isFinite(sigmaMax) ? sigmaMax : 2 * sigmaMin;
      const [own, common] = [made.alpha(sigma), this.#alpha(sigma)];
      if (Math.abs(own - common) <= 1e-9) return made;
      throw new CapabilityError('alpha', `expert '${name}': α(${sigma}) = ${own}, but the ensemble's is ${common} — give the ensemble { alpha }, and experts of one kind`, { expert: name, own, common });
    };
    if (typeof denoiser !== 'function') return check(denoiser);
    return async () => {
      const made = await denoiser();
      try {
        return check(made);
      } catch (error) {
        await made?.dispose?.();
        throw error;
      }
    };
  }

  #index(sigma: number): number {
    const index = this.experts.findIndex((expert) => sigma > expert.sigmaMin);
    const top = sigma <= this.sigmaMax * (1 + 1e-9);
    if (index >= 0 && top) return index;
    // The last σ of a grid is often exactly sigmaMin, which the half-open interval leaves out.
    if (top && sigma >= this.sigmaMin * (1 - 1e-9) && sigma > 0) return this.experts.length - 1;
    throw new SigmaRangeError(`ensemble: no expert for σ = ${sigma}, they cover (${this.sigmaMin}, ${this.sigmaMax}] — choose a grid within that range`, sigma);
  }

  /** The expert whose range holds σ. Throws SigmaRangeError outside. */
  at(sigma: number): Expert<C> {
    return this.experts[this.#index(sigma)]!;
  }

  /** How many steps of a grid (σ descending, a final 0 is no step) fall to each expert, in order of use. */
  plan(sigmas: Float64Array): readonly { readonly name: string; readonly steps: number }[] {
    const counts = new Map<string, number>();
    for (const sigma of sigmas.subarray(0, sigmas.length - 1)) {
      const { name } = this.at(sigma);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return [...counts].map(([name, steps]) => ({ name, steps }));
  }

  /** A new ensemble with another denoiser for the named expert; this one is untouched. */
  with(name: string, denoiser: Expert<C>['denoiser']): ExpertEnsemble<C> {
    if (!this.experts.some((expert) => expert.name === name)) throw new OptionError('expert name', name, `one of ${this.experts.map((e) => e.name).join(', ')}`);
    return new ExpertEnsemble(this.experts.map((expert) => (expert.name === name ? { ...expert, denoiser } : expert)), this.#options);
  }

  alpha(sigma: number): number {
    return this.#alpha(sigma);
  }

  guidanceAt(sigma: number): number | undefined {
    return this.at(sigma).guidance;
  }

  async denoise(x: Tensor, sigma: number, condition: C, options?: CallOptions): Promise<Tensor> {
    const index = this.#index(sigma);
    const work = (denoiser: Denoiser<C>): Promise<Tensor> => {
      const answer = denoiser.denoise(x, sigma, condition, options);
      this.#residency.prefetch(index + 1, index); // sampling goes from high noise to low
      return answer;
    };
    return this.#residency.use(index, work, options?.signal);
  }

  /** Disposes what the ensemble loaded itself, after the calls that are still at work; later calls throw DisposedError. */
  dispose(): Promise<void> {
    return this.#residency.dispose();
  }
}

function coverageMessage(experts: readonly { readonly name: string; readonly sigmaMin: number; readonly sigmaMax: number }[], gaps: readonly [number, number][], overlaps: readonly [number, number][]): string {
  const list = (ranges: readonly [number, number][]): string => ranges.map(([a, b]) => `(${a}, ${b}]`).join(', ');
  const parts = [gaps.length ? `gap at σ in ${list(gaps)}` : '', overlaps.length ? `overlap at σ in ${list(overlaps)}` : ''].filter(Boolean);
  const given = experts.map((e) => `${e.name} (${e.sigmaMin}, ${e.sigmaMax}]`).join(', ');
  return `experts must cover their range once: ${parts.join('; ')} — given ${given}`;
}
