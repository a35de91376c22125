import type { Device, PromptEncoder } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';
import type { CardSigns, ModelCard } from '@ediffi/model';
import type { Autoencoder, BaseStage, Upsampler } from './stage.js';

/** What a pipeline is made of. Whoever made the parts disposes them; a pipeline from a loader disposes what the loader opened. */
export interface PipelineParts {
  /** Text encoders by the name their embedding has in the conditioning: 't5', 'clip'. Any subset is legal. */
  readonly encoders: Readonly<Record<string, PromptEncoder>>;
  /** For style: reference pictures. */
  readonly imageEncoder?: ImageEncoder;
  readonly base: BaseStage;
  readonly upsamplers?: readonly Upsampler[];
  /** For a base stage that works on latents. */
  readonly autoencoder?: Autoencoder;
  /** Where pictures are between steps: the device of the backend that runs the stages. Default: the host. */
  readonly device?: Device;
  /** What a missing text is to the networks. 'zeros' (default): a missing or empty one is zeros, as eDiff-I trains; 'encoded': both are the encoding of an empty text; 'zeros-if-missing': an empty text is encoded, a missing negative is zeros (SDXL). */
  readonly unsaid?: 'zeros' | 'encoded' | 'zeros-if-missing';
  /** Words the model knows, for warnings. */
  readonly words?: ModelCard['words'];
  /** What its signs can say: no warning is given of that. */
  readonly signs?: CardSigns;
  /** Parameters of the graphs beside the stages, for describe(). */
  readonly components?: Readonly<Record<string, number>>;
  /** Names and versions that go into metadata. */
  readonly versions?: Readonly<Record<string, string>>;
}
