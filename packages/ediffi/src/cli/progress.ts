import type { GenerationStep } from '../index.js';
import type { Terminal } from './io.js';
import { render, type PreviewKind } from './preview.js';

/** `████░░░░  12/33  base · high  σ 4.21`. */
export function progressLine(step: Pick<GenerationStep, 'stage' | 'expert' | 'index' | 'count' | 'sigma'>, width = 24): string {
  const done = Math.min(width, Math.round(((step.index + 1) / step.count) * width));
  const who = step.stage === step.expert ? step.stage : `${step.stage} · ${step.expert}`;
  const place = `${step.index + 1}/${step.count}`.padStart(2 * String(step.count).length + 1);
  return `${'█'.repeat(done)}${'░'.repeat(width - done)}  ${place}  ${who}  σ ${step.sigma.toPrecision(3)}`;
}

/** Shows steps on a terminal: one line that is rewritten, under a live preview where the terminal can redraw one. */
export class Progress {
  #height = 0;
  #last = 0;
  #stage = '';

  constructor(
    readonly terminal: Terminal,
    readonly kind: Exclude<PreviewKind, 'auto'>,
  ) {}

  async show(step: GenerationStep): Promise<void> {
    const { terminal } = this;
    if (!terminal.isTTY) {
      // In a log: one line where the expert changes.
      const who = `${step.stage} ${step.expert}`;
      if (who !== this.#stage) terminal.write(`${progressLine(step)}\n`);
      this.#stage = who;
      return;
    }
    const now = Date.now();
    const final = step.index === step.count - 1;
    if (now - this.#last < 80 && !final) return;
    this.#last = now;
    const picture = this.kind === 'blocks' ? render(await step.preview(), 'blocks') : '';
    this.clear();
    terminal.write(`${picture}${progressLine(step)}\n`);
    this.#height = picture.split('\n').length;
  }

  /** Takes back what was shown, so that the result stands in its place. */
  clear(): void {
    if (this.#height > 0) this.terminal.write(`\u001b[${this.#height}A\u001b[0J`);
    this.#height = 0;
  }
}
