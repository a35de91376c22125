import { CapabilityError, finiteNumber, ModelError, OptionError, type Conditioning } from '@ediffi/core';
import type { ImagePrompt } from './options.js';
import { rgbPicture, type RgbPicture } from './pictures/input.js';
import type { Conditions } from './sample.js';
import type { BaseStage, PromptInputs } from './stage.js';

/** Pictures as a prompt, checked. */
export interface ImagePromptRequest {
  readonly pictures: readonly RgbPicture[];
  readonly scale?: number;
}

/** Throws CapabilityError for networks that take no pictures, or no scale; ModelError without an image encoder; OptionError for their number. */
export function resolveImagePrompt({ image, scale }: ImagePrompt, { name, imagePrompt: slot }: BaseStage): ImagePromptRequest {
  if (!slot) throw new CapabilityError('image prompt', `${name}: a picture was given as a prompt, but no network of this model takes embeddings of pictures — export a UNet with its IP-Adapter, its image_embeds an input`);
  if (slot.parameters === undefined) throw new ModelError(`${name}: a picture was given as a prompt, but the model has no image_encoder/ — export the CLIP vision model that the adapter was trained with`, 'image_encoder');
  if (scale !== undefined && !slot.scaled) throw new CapabilityError('image prompt scale', `${name}: scale ${scale} was given, but the graph has none as an input: it is what set_ip_adapter_scale said when the model was exported — leave it out, or export with an input ip_adapter_scale`);
  if (scale !== undefined) finiteNumber('image prompt scale', scale);
  const images = Array.isArray(image) ? image : [image];
  if (images.length === 0 || (slot.count !== undefined && images.length !== slot.count)) throw new OptionError('image prompt', `${images.length} pictures`, slot.count === undefined ? 'at least one picture' : `as many as the graph takes: ${slot.count}`);
  return { pictures: images.map((one) => rgbPicture(one, 'image prompt')), ...(scale !== undefined && { scale }) };
}

/** The conditions with the pictures' embeddings in them, or with what stands for none. */
export async function prompted(conditions: Conditions, request: ImagePromptRequest | undefined, stage: BaseStage, call: Parameters<NonNullable<BaseStage['imagePrompt']>['told']>[2]): Promise<Conditions> {
  const slot = stage.imagePrompt;
  if (!slot || (!request && !slot.unprompted)) return conditions;
  const none = request ? undefined : await slot.unprompted!(call);
  const { positive, negative } = none ? { positive: none, negative: none } : await slot.told(request!.pictures, request!.scale, call);
  const added = (condition: Conditioning, more: PromptInputs): Conditioning => ({ ...condition, inputs: { ...condition.inputs, ...more.inputs }, constants: { ...condition.constants, ...more.constants } });
  const plain = added(conditions.plain, positive);
  return { ...conditions, plain, styled: conditions.styled === conditions.plain ? plain : added(conditions.styled, positive), negative: added(conditions.negative, negative) };
}
