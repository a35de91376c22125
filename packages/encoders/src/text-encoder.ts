import { OptionError, ShapeError, type PromptEmbedding, type PromptEncoder, type Session } from '@ediffi/core';
import { embedWindows } from './embed.js';
import { textGraph, type TextGraphNames } from './text-graph.js';
import { PromptTokenizer, type TokenizerOptions } from './text/tokenizer.js';
import { promptWindows, type ReadingOptions } from './text/windows.js';

/** T, C and, where the graph deviates from the usual, its names. */
export interface TextEncoderOptions extends TokenizerOptions, ReadingOptions {
  readonly width: number;
  /** P; C by default. */
  readonly pooledWidth?: number;
  /** What a prompt without words is: 'zeros', as eDiff-I's training drops it (default), or the encoding of its special tokens, as Stable Diffusion has it. */
  readonly empty?: 'zeros' | 'encode';
  /** Whether a graph with a mask is told which columns are padding (default), or that none is. */
  readonly masked?: boolean;
  readonly names?: TextGraphNames;
}

/**
 * A tokenizer and a loaded graph as a PromptEncoder. Takes over the session: disposing the encoder disposes it.
 * Throws ModelError when the graph lacks a promised value, ShapeError when its width or length is not the stated one.
 */
export function textEncoder(name: string, session: Session, tokenizerJson: object, options: TextEncoderOptions & { readonly names: TextGraphNames }): PromptEncoder {
  const { length, width, names, pooledWidth = width, empty = 'zeros', masked = true, restoreMean = true } = options;
  if (empty !== 'zeros' && empty !== 'encode') throw new OptionError('empty', empty, "'zeros' or 'encode'");
  const tokenizer = new PromptTokenizer(tokenizerJson, options);
  const graph = textGraph(name, session, names, { width, pooledWidth, length, masked });
  const blank = tokenizer.window([]);
  return {
    name,
    width,
    length,
    windows: (prompts) => Math.max(1, ...prompts.map((prompt) => promptWindows(tokenizer, prompt, options).windows.length)),
    async encode(prompts, { signal, windows = 1 } = {}): Promise<PromptEmbedding> {
      if (prompts.length === 0) throw new ShapeError(`${name} encoder`, 'at least one prompt', 'none');
      const read = prompts.map((prompt) => promptWindows(tokenizer, prompt, options));
      return embedWindows(read, (batch) => graph(batch, signal), { blank, least: options.long ? windows : 1, dropEmpty: empty === 'zeros', restoreMean });
    },
    dispose: () => session.dispose(),
  };
}
