import { EdiffiError } from '@ediffi/core';
import { Command, CommanderError } from 'commander';
import { grids, solvers, version } from '../index.js';
import { describeCommand, type DescribeArguments } from './describe.js';
import { evaluateCommand, type EvaluateArguments } from './evaluate.js';
import { exitCode, type Io } from './io.js';
import { paintCommand, type PaintArguments } from './paint.js';
import { previewKinds } from './preview.js';
import { serveCommand, type ServeArguments } from './serve.js';

/** Runs the command line with `args` (without node and script) and answers with the exit code. Never throws; errors are one line on stderr. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  try {
    await program(io).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (io.signal?.aborted && error === io.signal.reason) {
      io.err.write('\ninterrupted\n');
      return 130;
    }
    const message = error instanceof Error ? error.message : String(error);
    io.err.write(`ediffi: ${EdiffiError.isInstance(error) ? message : `internal error: ${message}`}\n`);
    if (!EdiffiError.isInstance(error) && io.env['EDIFFI_DEBUG'] && error instanceof Error) io.err.write(`${error.stack}\n`);
    return exitCode(error);
  }
}

/** Collects an option that may be given several times. */
const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function program(io: Io): Command {
  const root = new Command('ediffi')
    .description('Paints pictures with the embedded eDiff-I: several expert denoisers, T5 and CLIP together, paint-with-words, style by reference.')
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => void io.out.write(text), writeErr: (text) => void io.err.write(text.replace(/^error: /, 'ediffi: ')) })
    .addHelpText('after', '\nExamples:\n  ediffi paint "a red apple on the grass" --seed 7 --out apple.png\n  ediffi paint "a cat on the beach" --canvas scene.png --colors scene.json\n  ediffi describe --words\n\nExit codes: 0 done, 1 a bug, 2 bad input, 3 missing or damaged model files, 4 the runtime failed, 130 interrupted.');
  // Commands inherit exitOverride and output only when they are made afterwards, through command().
  root
    .command('paint')
    .description('paint a prompt into a PNG')
    .argument('<prompt>', 'what to paint; `ediffi describe --words` lists the words the model knows')
    .option('--out <file>', 'where to write the picture', 'picture.png')
    .option('--seed <n>', 'same seed, same picture; default: a random one, reported')
    .option('--count <n>', 'several pictures, from the seed on')
    .option('--best-of <n>', 'of so many, from the seed on, the one that CLIP finds nearest to the prompt')
    .option('--steps <n>', 'steps of the base stage')
    .option('--sr-steps <n>', 'steps of each super-resolution stage')
    .option('--solver <name>', Object.keys(solvers).join(', '))
    .option('--grid <name>', Object.keys(grids).join(', '))
    .option('--guidance <w>', 'how strongly the prompt pulls; 1: no guidance')
    .option('--negative <text>', 'what the picture should not show')
    .option('--size <WxH>', 'size of the finished picture')
    .option('--canvas <png>', 'paint with words: a coloured canvas …')
    .option('--colors <json>', '… and { "#rrggbb": "phrase of the prompt" }')
    .option('--paint-strength <w>', 'how strongly the canvas pulls; 0: not at all')
    .option('--paint-outside <w>', '-1 to 0: keep painted words away from where they are not painted')
    .option('--style <png>', 'a reference picture whose look is taken over')
    .option('--style-strength <s>', '0 to 2, 1 by default')
    .option('--image <png>', 'start from this picture …')
    .option('--strength <s>', '… and give up this share of it, over 0 to 1')
    .option('--mask <png>', 'repaint --image only where this is white')
    .option('--control <png>', 'a picture that the composition follows, through a ControlNet of a --model; again for more …', several)
    .option('--control-scale <s>', '… how much it counts, 1 by default …', several)
    .option('--control-window <start,end>', '… and in which share of the steps, 0,1 by default', several)
    .option('--control-guess', 'let the control picture lead: it does not touch the negative')
    .option('--image-prompt <png>', 'a picture as a prompt, for a --model with an IP-Adapter; again for more …', several)
    .option('--image-prompt-scale <s>', '… and how much they count')
    .option('--encoders <list>', 'text encoders that read the prompt: t5, clip or t5,clip')
    .option('--attention <folder>', 'write what the picture looked at: a heat map per word, and shares per step as JSON')
    .option('--upscale <stage>', 'stop after this super-resolution stage (sr3: 512 × 512 pixels); default: after sr2')
    .option('--no-upscale', 'stop after the base stage')
    .option('--preview <kind>', previewKinds.join(', '), 'auto')
    .option('--threads <n>', 'threads inside one operator')
    .option('--model <folder>', "another model: a folder with card.json, or one of diffusers' layout with ONNX graphs (or its hub id)")
    .option('--refiner <folder>', 'a second model that takes over at low noise, such as SDXL\'s refiner')
    .option('--cut <share>', 'where it takes over: share of the timesteps done before, 0.8 by default')
    .option('--controlnet <folder>', 'a ControlNet for a --model whose UNet takes residuals; again for more', several)
    .option('--lora <file>', 'a LoRA (.safetensors) for the whole model, or EXPERT=FILE for one expert or text encoder; again for more …', several)
    .option('--lora-weight <w>', '… how much of it, 1 by default', several)
    .option('--resident <n>', 'how many experts may be in memory at once')
    .option('--server <url>', 'run the networks there (`ediffi serve`, KServe, Triton); $EDIFFI_TOKEN is its token')
    .option('--offline', 'take hub models from the cache only')
    .option('--weights', "read (word:1.2), [word] and BREAK in the prompts of a --model of diffusers' layout")
    .option('--clip-skip <n>', "leave out CLIP's last layers in a --model of diffusers' layout")
    .action((prompt: string, options: PaintArguments) => paintCommand(prompt, options, io));
  root
    .command('describe')
    .description('print stages, experts, noise intervals, parameters and cost per network call')
    .option('--words', 'print the words the model knows instead')
    .option('--no-measure', 'do not load the networks to time them')
    .option('--model <folder>', "another model, diffusers' layout included")
    .option('--refiner <folder>', 'a second model that takes over at low noise')
    .option('--cut <share>', 'where it takes over')
    .option('--server <url>', 'of the networks there')
    .option('--controlnet <folder>', 'a ControlNet for a --model whose UNet takes residuals; again for more', several)
    .option('--offline', 'take hub models from the cache only')
    .action((options: DescribeArguments) => describeCommand(options, io));
  root
    .command('evaluate')
    .description('measure pictures: Fréchet distance and KID of two folders, or what the model paints of held-out captions')
    .argument('[folder]', 'PNG files to compare …')
    .option('--against <folder>', '… with these; without both, the model paints and is judged')
    .option('--count <n>', 'captions to paint', '64')
    .option('--seed <n>', 'of the captions drawn and of the pictures', '0')
    .option('--best-of <n>', 'each picture is the best of so many, by CLIP')
    .option('--steps <n>', 'steps of the base stage')
    .option('--guidance <w>', 'guidance of the base stage')
    .option('--solver <name>', 'solver of the base stage')
    .option('--encoders <list>', 'text encoders that read the captions: t5, clip or t5,clip')
    .option('--upscale <stage>', 'judge this super-resolution stage')
    .option('--no-upscale', 'judge the base stage')
    .option('--json', 'results as JSON')
    .option('--model <folder>', 'another model')
    .action((folder: string | undefined, options: EvaluateArguments) => evaluateCommand(folder, options, io));
  root
    .command('serve')
    .description('serve the networks of a model by the Open Inference Protocol, for --server and for `remote` of @ediffi/backends, until interrupted')
    .option('--port <n>', '0: any that is free', '8000')
    .option('--host <address>', '0.0.0.0: everybody; then set $EDIFFI_TOKEN', '127.0.0.1')
    .option('--origin <url>', 'a page that may use it, or *; again for more', several)
    .option('--uploads', 'take graphs from clients')
    .option('--threads <n>', 'threads inside one operator')
    .option('--model <folder>', 'another model: a folder with card.json, or one of ONNX files (or its hub id)')
    .option('--offline', 'take hub models from the cache only')
    .action((options: ServeArguments) => serveCommand(options, io));
  return root;
}
