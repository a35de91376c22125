/* The picture as it forms: preview, progress, the experts' timeline, notes, heat maps. */
import { create, element, show } from './dom.js';
import type { Answer, WordMap } from './protocol.js';

const TONES = ['#8e6bff', '#2f9be1', '#2eaf7d', '#e2a11d', '#d6539a'];

/** Shows what the worker answers. */
export class Result {
  readonly #picture = element<HTMLCanvasElement>('picture');
  readonly #heat = element<HTMLCanvasElement>('heat');
  readonly #progress = element<HTMLProgressElement>('progress');
  readonly #status = element('status');
  readonly #save = element<HTMLAnchorElement>('save');
  #done = new Map<string, number>();
  #loaded = false;

  say(text: string): void {
    this.#status.textContent = text;
  }

  begin(): void {
    this.#done = new Map();
    this.#progress.removeAttribute('value');
    this.say('Reading the words…');
    this.#heat.hidden = true;
    element('heat-part').hidden = true;
    element('notes').replaceChildren();
    element('timeline').replaceChildren();
  }

  take(answer: Answer): void {
    if (answer.type === 'loading') this.#loading(answer);
    else if (answer.type === 'plan') this.#plan(answer.experts);
    else if (answer.type === 'step') this.#step(answer);
    else if (answer.type === 'done') this.#finish(answer);
    else {
      this.#progress.value = 0;
      this.say(answer.stopped ? 'Stopped.' : `Not painted: ${answer.message}`);
    }
  }

  #loading({ loaded, total, cached }: Extract<Answer, { type: 'loading' }>): void {
    if (this.#loaded || cached) return;
    this.say(`Loading the model: ${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`);
  }

  #plan(experts: readonly { readonly name: string; readonly calls: number }[]): void {
    element('timeline').replaceChildren(
      ...experts.map(({ name, calls }, i) => {
        const item = create('li', { title: `${name}: ${calls} network calls` }, create('span', {}, `${name} ${calls}`));
        item.dataset['expert'] = name;
        item.style.cssText = `flex: ${calls} 1 auto; --tone: ${TONES[i % TONES.length]}`;
        return item;
      }),
    );
  }

  #step({ index, count, expert, stage, sigma, seed, preview }: Extract<Answer, { type: 'step' }>): void {
    show(this.#picture, preview);
    this.#progress.value = (index + 1) / count;
    if (index === 0) this.#done = new Map(); // the next candidate
    this.say(`Seed ${seed} · step ${index + 1} of ${count} · ${stage === expert ? stage : `${stage}, expert ${expert}`} · σ ${sigma.toPrecision(3)}`);
    this.#done.set(expert, (this.#done.get(expert) ?? 0) + 1);
    for (const item of element('timeline').children as Iterable<HTMLElement>) {
      const own = item.dataset['expert'] === expert;
      item.toggleAttribute('aria-current', own);
      if (own) item.setAttribute('aria-current', 'step');
      const calls = Number(/\d+$/.exec(item.textContent ?? '')?.[0] ?? 1);
      item.style.setProperty('--done', String(Math.min(1, (this.#done.get(item.dataset['expert'] ?? '') ?? 0) / calls)));
    }
  }

  #finish({ seed, picture, png, warnings, maps, device, seconds }: Extract<Answer, { type: 'done' }>): void {
    this.#loaded = true;
    show(this.#picture, picture);
    this.#progress.value = 1;
    this.say(`Seed ${seed} painted in ${seconds.toFixed(1)} s on ${device}.`);
    element('notes').replaceChildren(...warnings.map((text) => create('li', {}, text)));
    for (const item of element('timeline').children as Iterable<HTMLElement>) item.removeAttribute('aria-current');
    URL.revokeObjectURL(this.#save.href);
    this.#save.href = URL.createObjectURL(new Blob([png], { type: 'image/png' }));
    this.#save.hidden = false;
    this.#words(maps);
  }

  #words(maps: readonly WordMap[]): void {
    const row = element('heat-words');
    element('heat-part').hidden = maps.length === 0;
    row.replaceChildren(
      ...maps.map((map) => {
        const button = create('button', { type: 'button' }, map.word);
        button.setAttribute('aria-pressed', 'false');
        button.addEventListener('click', () => {
          const on = button.getAttribute('aria-pressed') !== 'true';
          for (const other of row.children) other.setAttribute('aria-pressed', String(on && other === button));
          this.#heat.hidden = !on;
          if (on) this.#over(map);
        });
        return button;
      }),
    );
  }

  #over({ width, height, values }: WordMap): void {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const data = new Uint8ClampedArray(4 * width * height);
    values.forEach((value, i) => {
      const heat = high > low ? (value - low) / (high - low) : 0;
      data.set([255, 90 + 150 * heat, 40 * (1 - heat), 225 * heat], 4 * i);
    });
    show(this.#heat, { width, height, data });
  }
}
