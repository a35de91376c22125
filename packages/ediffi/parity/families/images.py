"""Image to image and inpainting (by re-noising) of SDXL, SD3 and FLUX, on the parts of their own families."""

from families import flux, sd3, sdxl
from families.sd15 import NEGATIVE, OTHER, PROMPT, bytes_of, picture, quiet
from oracle.record import Run, case

STRENGTH = {"num_inference_steps": 6, "strength": 0.6}
DRAWS = "as diffusers draws: the autoencoder's sample of the picture, the noise, and for inpainting the sample of the masked picture"


class Shifted(Run):
    """diffusers' SD3 inpainting forgets the autoencoder's shift when it decodes (0.42.1, pipeline_stable_diffusion_3_inpaint.py): decoded here as its text-to-image pipeline does."""

    def call(self, pipeline, arguments):
        output, config = super().call(pipeline, arguments | {"output_type": "latent"}), pipeline.vae.config
        output.images = pipeline.image_processor.postprocess(pipeline.vae.decode(output.images / config.scaling_factor + config.shift_factor).sample, output_type="pt")
        return output


def both(name, family, image_pipeline, inpaint_pipeline, arguments, embeddings, height, width):
    image, mask = picture(height, width)
    for kind, pipeline, inputs, stored in [
        ("img2img", image_pipeline, {"image": image}, {"init": bytes_of(image)}),
        ("inpaint", inpaint_pipeline, {"image": image, "mask_image": mask}, {"init": bytes_of(image), "mask": bytes_of(mask)}),
    ]:
        case(f"{name}-{kind}", family, quiet(pipeline), 71, arguments, embeddings(pipeline, arguments) | stored, OTHER, runner=Shifted if (name, kind) == ("sd3", "inpaint") else Run, inputs=inputs, draws=DRAWS)


def make():
    import diffusers as d

    texts = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "height": 64, "width": 64}
    base = sdxl.base()
    parts = {k: base.components[k] for k in ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "scheduler")}
    more = {"requires_aesthetics_score": False, "add_watermarker": False}
    both("sdxl", "sdxl", d.StableDiffusionXLImg2ImgPipeline(**parts, **more), d.StableDiffusionXLInpaintPipeline(**parts, **more), texts | STRENGTH | {"guidance_scale": 5.0}, sdxl.embeddings, 64, 64)
    parts = sd3.components()
    both("sd3", "sd3", d.StableDiffusion3Img2ImgPipeline(**parts), d.StableDiffusion3InpaintPipeline(**parts), texts | STRENGTH | {"guidance_scale": 4.0, "max_sequence_length": 77}, sd3.embeddings, 64, 64)
    parts = flux.components()
    parts |= {"transformer": flux.transformer(104, True), "scheduler": d.FlowMatchEulerDiscreteScheduler.from_config(parts["scheduler"].config, **flux.SHIFT)}
    arguments = {"prompt": PROMPT, "height": 64, "width": 96, "guidance_scale": 3.5, "max_sequence_length": 77} | STRENGTH
    both("flux-dev", "flux-dev", d.FluxImg2ImgPipeline(**parts), d.FluxInpaintPipeline(**parts), arguments, flux.embeddings, 64, 96)
