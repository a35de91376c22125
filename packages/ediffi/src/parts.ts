import type { PromptEncoder } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';
import type { ModelCard } from '@ediffi/model';
import type { BaseStage, Upsampler } from './stage.js';

/** What a pipeline is made of. Whoever made the parts disposes them; a pipeline from a loader disposes what the loader opened. */
export interface PipelineParts {
  /** Text encoders by the name their embedding has in the conditioning: 't5', 'clip'. Any subset is legal. */
  readonly encoders: Readonly<Record<string, PromptEncoder>>;
  /** For style: reference pictures. */
  readonly imageEncoder?: ImageEncoder;
  readonly base: BaseStage;
  readonly upsamplers?: readonly Upsampler[];
  /** Words the model knows, for warnings. */
  readonly words?: ModelCard['words'];
  /** Names and versions that go into metadata. */
  readonly versions?: Readonly<Record<string, string>>;
}
