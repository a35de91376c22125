/*
 * What the pipelines of diffusers do around their networks, family by family: which texts, how they are put together, the defaults.
 * Read off diffusers 0.42; `expected/` under parity/ holds what they paint.
 */
import type { TextPart, TextPlan } from './texts.js';

/** A family of models. */
export interface Family {
  /** For messages. */
  readonly title: string;
  /** Folder of the network. */
  readonly network: 'unet' | 'transformer';
  readonly texts: readonly TextPart[];
  /** How the texts' embeddings become the network's inputs. */
  readonly plan: TextPlan;
  readonly steps: number;
  readonly guidance: number;
  /** How strength becomes a first step: n − ⌊n·s⌋ ('kept'), or ⌊n − n·s⌋ ('left'). 'spread': LCM's and TCD's schedulers spread all n over the first s of the timesteps that distillation trained; others as 'kept'. */
  readonly strength: 'kept' | 'left' | 'spread';
  /** Latent pixels per token edge: the picture is a multiple of this and the autoencoder's factor. */
  readonly patch: number;
  /** The network takes packed patches. */
  readonly packed?: boolean;
  /** The network takes t/1000. */
  readonly unitTime?: boolean;
  /** σ handed to the scheduler: 1 … 1/n, to be shifted by it. */
  readonly ownSigmas?: boolean;
  readonly unsaid: 'encoded' | 'zeros-if-missing';
  /** The network paints pixels. */
  readonly pixels?: boolean;
}

const clip: TextPart = { name: 'clip', encoder: 'text_encoder', tokenizer: 'tokenizer', tokens: 'last' };
const clipPooled: TextPart = { ...clip, pooled: true };
const t5 = (encoder: string, tokenizer: string, length: number): TextPart => ({ name: 't5', encoder, tokenizer, tokens: 'last', length });

const stableDiffusion: Family = { title: 'Stable Diffusion', network: 'unet', texts: [clip], plan: { segments: [['clip']] }, steps: 50, guidance: 7.5, strength: 'kept', patch: 1, unsaid: 'encoded' };
const latentConsistency: Family = { ...stableDiffusion, title: 'a latent consistency model', steps: 4, guidance: 8.5, strength: 'spread' };
const sdxl: Family = {
  ...stableDiffusion,
  title: 'Stable Diffusion XL',
  texts: [{ ...clip, tokens: 'penultimate' }, { ...clip, name: 'clip-g', encoder: 'text_encoder_2', tokenizer: 'tokenizer_2', tokens: 'penultimate', pooled: true }],
  plan: { segments: [['clip', 'clip-g']], pooled: ['clip-g'], pooledInput: 'text_embeds' },
  guidance: 5,
  unsaid: 'zeros-if-missing',
};
const sd3: Family = {
  title: 'Stable Diffusion 3',
  network: 'transformer',
  texts: [
    { ...clip, tokens: 'penultimate', pooled: true },
    { ...clip, name: 'clip-g', encoder: 'text_encoder_2', tokenizer: 'tokenizer_2', tokens: 'penultimate', pooled: true },
    { ...t5('text_encoder_3', 'tokenizer_3', 256), optional: true },
  ],
  plan: { segments: [['clip', 'clip-g'], ['t5']], widthKey: 'joint_attention_dim', pooled: ['clip', 'clip-g'], pooledInput: 'pooled_projections' },
  steps: 28,
  guidance: 7,
  strength: 'left',
  patch: 2,
  unsaid: 'encoded',
};
const flux: Family = {
  title: 'FLUX',
  network: 'transformer',
  texts: [clipPooled, t5('text_encoder_2', 'tokenizer_2', 512)],
  plan: { segments: [['t5']], pooled: ['clip'], pooledInput: 'pooled_projections' },
  steps: 28,
  guidance: 3.5,
  strength: 'left',
  patch: 2,
  packed: true,
  unitTime: true,
  ownSigmas: true,
  unsaid: 'encoded',
};
const pixart: Family = { title: 'PixArt', network: 'transformer', texts: [{ ...t5('text_encoder', 'tokenizer', 300), mask: true, fold: true }], plan: { segments: [['t5']], maskInput: 'encoder_attention_mask' }, steps: 20, guidance: 4.5, strength: 'kept', patch: 2, unsaid: 'encoded' };
const deepFloyd: Family = { title: 'DeepFloyd IF', network: 'unet', texts: [{ ...t5('text_encoder', 'tokenizer', 77), mask: true, fold: true }], plan: { segments: [['t5']] }, steps: 100, guidance: 7, strength: 'kept', patch: 1, unsaid: 'encoded', pixels: true };

/** Families by diffusers' class of pipeline. */
export const families: Readonly<Record<string, Family>> = {
  StableDiffusionPipeline: stableDiffusion,
  StableDiffusionImg2ImgPipeline: stableDiffusion,
  StableDiffusionInpaintPipeline: stableDiffusion,
  StableDiffusionControlNetPipeline: stableDiffusion,
  StableDiffusionControlNetImg2ImgPipeline: stableDiffusion,
  StableDiffusionControlNetInpaintPipeline: stableDiffusion,
  LatentConsistencyModelPipeline: latentConsistency,
  LatentConsistencyModelImg2ImgPipeline: latentConsistency,
  StableDiffusionXLPipeline: sdxl,
  StableDiffusionXLImg2ImgPipeline: sdxl,
  StableDiffusionXLInpaintPipeline: { ...sdxl, guidance: 7.5 },
  StableDiffusionXLControlNetPipeline: sdxl,
  StableDiffusionXLControlNetImg2ImgPipeline: sdxl,
  StableDiffusionXLControlNetInpaintPipeline: sdxl,
  StableDiffusion3Pipeline: sd3,
  StableDiffusion3Img2ImgPipeline: sd3,
  StableDiffusion3InpaintPipeline: sd3,
  FluxPipeline: flux,
  FluxImg2ImgPipeline: flux,
  FluxInpaintPipeline: flux,
  PixArtAlphaPipeline: { ...pixart, texts: [{ ...pixart.texts[0]!, length: 120 }] },
  PixArtSigmaPipeline: pixart,
  IFPipeline: deepFloyd,
  IFSuperResolutionPipeline: { ...deepFloyd, steps: 50, guidance: 4 },
};
