/* kohya's files for SDXL name the UNet's blocks as its first code did (input_blocks.4.1); exports have diffusers' names (down_blocks.1.attentions.0). */
const RESNET: Readonly<Record<string, string>> = { in_layers_2: 'conv1', out_layers_3: 'conv2', emb_layers_1: 'time_emb_proj', skip_connection: 'conv_shortcut' };

const inner = (rest: string, isResnet: boolean): string => (isResnet ? (RESNET[rest] ?? rest) : rest);

/** diffusers' name of a path (dots as underscores), for UNets with two layers per block; undefined where the path is not of that kind. */
export function diffusersPath(path: string): string | undefined {
  const down = /^input_blocks_(\d+)_(\d)_(.+)$/.exec(path);
  if (down) {
    const [n, m, rest] = [Number(down[1]) - 1, Number(down[2]), down[3]!];
    if (n < 0) return undefined;
    const [block, layer] = [Math.floor(n / 3), n % 3];
    if (layer === 2) return `down_blocks_${block}_downsamplers_0_${rest === 'op' ? 'conv' : rest}`;
    return `down_blocks_${block}_${m === 0 ? 'resnets' : 'attentions'}_${layer}_${inner(rest, m === 0)}`;
  }
  const up = /^output_blocks_(\d+)_(\d)_(.+)$/.exec(path);
  if (up) {
    const [n, m, rest] = [Number(up[1]), Number(up[2]), up[3]!];
    const [block, layer] = [Math.floor(n / 3), n % 3];
    if (rest === 'conv') return `up_blocks_${block}_upsamplers_0_conv`;
    return `up_blocks_${block}_${m === 0 ? 'resnets' : 'attentions'}_${layer}_${inner(rest, m === 0)}`;
  }
  const middle = /^middle_block_([012])_(.+)$/.exec(path);
  if (middle) return middle[1] === '1' ? `mid_block_attentions_0_${middle[2]}` : `mid_block_resnets_${Number(middle[1]) / 2}_${inner(middle[2]!, true)}`;
  return { time_embed_0: 'time_embedding_linear_1', time_embed_2: 'time_embedding_linear_2', label_emb_0_0: 'add_embedding_linear_1', label_emb_0_2: 'add_embedding_linear_2', input_blocks_0_0: 'conv_in', out_2: 'conv_out' }[path];
}
