/* The playground: settings, words, layers, and the worker that paints. */
import { solvers } from 'ediffi';
import { Board } from './board.js';
import { create, element, pixelsOf } from './dom.js';
import { painter } from './painter.js';
import type { Answer, Pixels, Request } from './protocol.js';
import { Result } from './result.js';
import { decode, encode } from './share.js';

/** The base's defaults in the model's card: the build puts them here, so that the page needs no file for them (scripts/playground.mjs). */
declare const BASE_DEFAULTS: { readonly steps: number; readonly solver: string; readonly guidance: number; readonly paint: number };

const input = (id: string): HTMLInputElement => element<HTMLInputElement>(id);
const worker = new Worker(new URL('worker.js', document.baseURI), { type: 'module', name: 'ediffi' });
const ask = (request: Request): void => worker.postMessage(request);
const board = new Board(256, 256);
const result = new Result();
let chosen: number | undefined; // layer
let picked: { readonly from: number; readonly to: number } | undefined; // words
let erasing = false;
const pictures: { style?: Promise<Pixels>; image?: Promise<Pixels> } = {};
let waiting: object | undefined; // the press of “Paint” that waits for its pictures
let masking: object | undefined; // the mask that was chosen last

const draw = painter({
  board,
  label: () => (erasing ? 0 : chosen),
  changed: () => refresh(),
  nothing: () => result.say('Choose words of the prompt first, and press “Place these words”.'),
});

function press(id: string, on: boolean): void {
  element(id).setAttribute('aria-pressed', String(on));
}

function refresh(): void {
  draw();
  if (!board.layers.some(({ id }) => id === chosen)) chosen = board.layers.at(-1)?.id;
  element<HTMLButtonElement>('undo').disabled = !board.canUndo;
  element<HTMLButtonElement>('redo').disabled = !board.canRedo;
  press('brush', !erasing);
  press('eraser', erasing);
  element('mask-label').hidden = chosen === undefined;
  element('layers').replaceChildren(...board.layers.map(({ id, phrase, color }) => {
    const dot = create('span', { className: 'dot' });
    dot.style.background = color;
    const choose = create('button', { type: 'button', onclick: () => ((chosen = id), (erasing = false), refresh()) }, dot, phrase);
    choose.setAttribute('aria-pressed', String(id === chosen));
    const remove = create('button', { type: 'button', onclick: () => (board.remove(id), refresh()) }, '✕');
    remove.setAttribute('aria-label', `Remove “${phrase}”`);
    return create('li', {}, choose, remove);
  }));
}

/** The prompt's words as buttons; a click starts a phrase, the next one ends it. */
function words(): void {
  const parts = [...input('prompt').value.matchAll(/[\p{L}\p{N}'’-]+/gu)].map(({ 0: text, index }) => ({ text, start: index, end: index + text.length }));
  element('words').replaceChildren(...parts.map(({ text }, i) => {
    const button = create('button', { type: 'button' }, text);
    button.setAttribute('aria-pressed', String(picked !== undefined && i >= picked.from && i <= picked.to));
    button.addEventListener('click', () => {
      const single = picked?.from === picked?.to;
      if (!picked || !single) picked = { from: i, to: i };
      else picked = picked.from === i ? undefined : { from: Math.min(picked.from, i), to: Math.max(picked.to, i) };
      words();
      (element('words').children[i] as HTMLElement).focus();
    });
    return button;
  }));
  const add = element<HTMLButtonElement>('add-layer');
  const [first, last] = [parts[picked?.from ?? -1], parts[picked?.to ?? -1]];
  const phrase = first && last ? input('prompt').value.slice(first.start, last.end) : undefined;
  add.disabled = phrase === undefined;
  add.textContent = phrase === undefined ? 'Place these words' : `Place “${phrase}”`;
  add.onclick = () => {
    if (phrase === undefined) return;
    chosen = board.add(phrase).id;
    [picked, erasing] = [undefined, false];
    words();
    refresh();
    element('canvas').focus({ preventScroll: true });
  };
}

function outputs(): void {
  for (const output of document.querySelectorAll('output')) output.textContent = input(output.getAttribute('for')!).value;
}

const numberIn = (id: string): number => Number(input(id).value);

/** What a wish and a link have in common. */
const settings = () => ({ seed: numberIn('seed'), candidates: numberIn('candidates'), steps: numberIn('steps'), solver: input('solver').value, guidance: numberIn('guidance'), paint: numberIn('paint'), width: board.width, height: board.height });

async function go(): Promise<void> {
  if (element<HTMLButtonElement>('go').disabled) return;
  const prompt = input('prompt').value.trim();
  const painted = board.layers.filter(({ id }) => board.labels.includes(id));
  const absent = painted.find(({ phrase }) => !prompt.toLowerCase().includes(phrase.toLowerCase()));
  if (!prompt || absent) return result.say(prompt ? `“${absent!.phrase}” is painted, but the prompt no longer says it: remove it, or write it again.` : 'Write a prompt first.');
  result.begin();
  working(true);
  const wish = {
    ...settings(), prompt, placed: painted.map(({ id, phrase }) => ({ phrase, mask: board.mask(id) })),
    styleStrength: numberIn('style-strength'), strength: numberIn('strength'), attention: input('attention').checked,
  };
  const press = (waiting = {});
  const read = await Promise.all([pictures.style, pictures.image]).catch((error: Error) => error);
  if (waiting !== press) return; // stopped meanwhile
  waiting = undefined;
  if (read instanceof Error) return take({ type: 'failed', message: read.message, stopped: false });
  const [style, image] = read;
  ask({ type: 'paint', wish: { ...wish, ...(style && { style }), ...(image && { image }) } });
}

function stop(): void {
  ask({ type: 'stop' });
  if (waiting) take({ type: 'failed', message: 'stopped', stopped: true }); // the worker knows nothing of it yet
  waiting = undefined;
}

function working(yes: boolean): void {
  element<HTMLButtonElement>('go').disabled = yes;
  element<HTMLButtonElement>('stop').disabled = !yes;
}

function take(answer: Answer): void {
  result.take(answer);
  if (answer.type === 'done' || answer.type === 'failed') working(false);
}

worker.onmessage = ({ data }: MessageEvent<Answer>) => take(data);
worker.onerror = (event) => {
  result.say(`The worker did not start: ${event.message}`);
  working(false);
};

function resize(): void {
  const [width = 256, height = 256] = element<HTMLSelectElement>('size').value.split('x').map(Number);
  board.resize(width, height);
  refresh();
}

async function share(): Promise<void> {
  const { layers, labels } = board;
  const hash = await encode({ ...settings(), prompt: input('prompt').value, layers, labels });
  history.replaceState(null, '', `#${hash}`);
  const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  result.say(copied ? 'The link is copied: it holds the prompt, the canvas and the seed.' : 'The address bar now holds the link: prompt, canvas and seed.');
}

/** Shows what the address holds, and all else as it is. */
async function restore(): Promise<void> {
  const { hash } = location;
  const shared = await decode(hash);
  const size = element<HTMLSelectElement>('size');
  const named = `${shared?.width}x${shared?.height}`;
  if (shared && location.hash === hash && [...size.options].some(({ value }) => value === named)) {
    [input('prompt').value, size.value] = [shared.prompt, named];
    for (const id of ['seed', 'candidates', 'steps', 'solver', 'guidance', 'paint'] as const) if (shared[id] !== undefined) input(id).value = String(shared[id]);
    board.open(shared);
    [chosen, picked, erasing] = [undefined, undefined, false];
  }
  words();
  outputs();
  refresh();
}

function theme(): void {
  const dark = getComputedStyle(document.documentElement).colorScheme === 'dark' || (document.documentElement.dataset['theme'] === undefined && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset['theme'] = dark ? 'light' : 'dark';
}

function keys(event: KeyboardEvent): void {
  const typing = (event.target as HTMLElement).matches('input:not([type=range]):not([type=checkbox]), select');
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key === 'Enter') void go();
  else if (event.key === 'Escape') stop();
  else if (typing) return;
  else if (command && event.key.toLowerCase() === 'z') (event.shiftKey ? board.redo() : board.undo(), refresh());
  else if (!command && event.key === 'e') ((erasing = true), refresh());
  else if (!command && event.key === 'b') ((erasing = false), refresh());
  else return;
  event.preventDefault();
}

/** Begins to read the picture of an input; the one chosen last counts, whichever is read first. */
function takePicture(id: 'style' | 'image'): void {
  const file = input(id).files?.[0];
  delete pictures[id];
  if (!file) return;
  const reading = (pictures[id] = pixelsOf(file));
  reading.catch((error: Error) => {
    if (pictures[id] !== reading) return;
    delete pictures[id];
    input(id).value = '';
    result.say(error.message);
  });
}

async function takeMask(): Promise<void> {
  const file = input('mask').files?.[0];
  const layer = board.layers.find(({ id }) => id === chosen);
  if (!file || !layer) return;
  input('mask').value = ''; // so that the same file can be chosen again
  const { width, height } = board;
  const own = (masking = {});
  try {
    const { data } = await pixelsOf(file, { width, height });
    if (masking !== own) return; // another was chosen meanwhile
    if (!board.layers.includes(layer) || board.width !== width || board.height !== height) return result.say(`The canvas changed while ${file.name} was read: choose it again.`);
    board.fill(layer.id, (i) => data[4 * i]! + data[4 * i + 1]! + data[4 * i + 2]! > 382 && data[4 * i + 3]! > 127);
    refresh();
  } catch (error) {
    result.say((error as Error).message);
  }
}

element('solver').replaceChildren(...Object.keys(solvers).map((name) => create('option', { value: name }, name)));
const { steps, solver, guidance, paint } = BASE_DEFAULTS;
Object.entries({ prompt: 'a red car on the beach', seed: 7, candidates: 1, steps, solver, guidance, paint, 'style-strength': 1, strength: 0.6 }).forEach(([id, value]) => (input(id).value = String(value)));
const actions: Record<string, () => unknown> = {
  go, share, theme, stop, undo: () => (board.undo(), refresh()), redo: () => (board.redo(), refresh()), clear: () => (board.clear(), refresh()),
  brush: () => ((erasing = false), refresh()), eraser: () => ((erasing = true), refresh()), dice: () => (input('seed').value = String(Math.floor(Math.random() * 2 ** 32))),
};
for (const [id, act] of Object.entries(actions)) element(id).addEventListener('click', () => void act());
input('prompt').addEventListener('input', () => ((picked = undefined), words()));
input('mask').addEventListener('change', () => void takeMask());
for (const id of ['style', 'image'] as const) input(id).addEventListener('change', () => takePicture(id));
element('size').addEventListener('change', resize);
document.addEventListener('input', outputs);
document.addEventListener('keydown', keys);
window.addEventListener('hashchange', () => void restore());
await restore();
void navigator.serviceWorker?.register('sw.js').catch(() => undefined); // offline use is a bonus: some places forbid it
document.body.dataset['ready'] = '';
