import { NonFiniteError } from '../errors/errors.js';
import { isHost } from '../tensor/host.js';
import type { CallOptions, Denoise, Denoiser } from './denoiser.js';

/** Closes a denoiser over its condition, abort signal and attention listener: what is left is all that a solver sees. Rejects with NonFiniteError when the network answers NaN or ∞ (looked at on the host only: reading a device back each step would cost more than it saves). */
export function bind<C>(denoiser: Denoiser<C>, condition: C, options: CallOptions = {}): Denoise {
  const call: Denoise = async (x, sigma) => {
    options.signal?.throwIfAborted();
    const denoised = await denoiser.denoise(x, sigma, condition, options);
    options.signal?.throwIfAborted();
    if (isHost(denoised) && !(denoised.data as Float32Array).every(Number.isFinite)) {
      denoised.dispose();
      throw new NonFiniteError('denoised picture', sigma, 'lower the guidance, or load the model in fp32');
    }
    return denoised;
  };
  return Object.assign(call, { alpha: (sigma: number) => denoiser.alpha(sigma) });
}
