/* The painted canvas: one label per pixel (0: nothing, else the layer), with undo. */

/** Words that have a place. */
export interface Layer {
  readonly id: number;
  readonly phrase: string;
  readonly color: string;
}

interface Moment {
  readonly labels: Uint8Array;
  readonly layers: readonly Layer[];
}

const COLORS = ['#d62839', '#2f7de1', '#e9a820', '#2e8b57', '#8e44ad', '#e2711d', '#159a9c', '#d6539a'];
const DEPTH = 60;

/** Pixels of layers. */
export class Board {
  width: number;
  height: number;
  labels: Uint8Array;
  layers: readonly Layer[] = [];
  #past: Moment[] = [];
  #future: Moment[] = [];

  constructor(width: number, height: number) {
    [this.width, this.height, this.labels] = [width, height, new Uint8Array(width * height)];
  }

  get canUndo(): boolean {
    return this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  /** Remembers how it is now; call before a change. */
  mark(): void {
    this.#past = [...this.#past, this.#now()].slice(-DEPTH);
    this.#future = [];
  }

  undo(): void {
    this.#go(this.#past, this.#future);
  }

  redo(): void {
    this.#go(this.#future, this.#past);
  }

  /** A new layer, or the one that has these words. */
  add(phrase: string): Layer {
    const known = this.layers.find((layer) => layer.phrase === phrase);
    if (known) return known;
    this.mark();
    const id = 1 + Math.max(0, ...this.layers.map((layer) => layer.id));
    const free = COLORS.find((color) => this.layers.every((layer) => layer.color !== color)) ?? COLORS[id % COLORS.length]!;
    const layer = { id, phrase, color: free };
    this.layers = [...this.layers, layer];
    return layer;
  }

  remove(id: number): void {
    this.mark();
    this.layers = this.layers.filter((layer) => layer.id !== id);
    this.labels = this.labels.map((label) => (label === id ? 0 : label));
  }

  clear(): void {
    this.mark();
    this.labels = new Uint8Array(this.labels.length);
  }

  /** A stroke from one point to another, round, in pixels. */
  stroke(x0: number, y0: number, x1: number, y1: number, radius: number, label: number): void {
    const count = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(1, radius / 2)));
    for (let i = 0; i <= count; i++) this.#disc(x0 + ((x1 - x0) * i) / count, y0 + ((y1 - y0) * i) / count, radius, label);
  }

  /** Gives a layer the white pixels of a mask of the board's size. */
  fill(label: number, inside: (i: number) => boolean): void {
    this.mark();
    this.labels = this.labels.map((old, i) => (inside(i) ? label : old === label ? 0 : old));
  }

  /** Another size; what is painted is stretched. */
  resize(width: number, height: number): void {
    if (width === this.width && height === this.height) return;
    const [w, h, labels] = [this.width, this.height, this.labels];
    this.labels = Uint8Array.from({ length: width * height }, (_, i) => labels[Math.floor((Math.floor(i / width) * h) / height) * w + Math.floor(((i % width) * w) / width)]!);
    [this.width, this.height, this.#past, this.#future] = [width, height, [], []];
  }

  /** Shows something else altogether; there is nothing to undo then. */
  open({ width, height, layers, labels }: Pick<Board, 'width' | 'height' | 'layers' | 'labels'>): void {
    [this.width, this.height, this.layers, this.labels, this.#past, this.#future] = [width, height, layers, labels, [], []];
  }

  mask(id: number): Float32Array {
    return Float32Array.from(this.labels, (label) => Number(label === id));
  }

  #disc(x: number, y: number, radius: number, label: number): void {
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(this.height - 1, y + radius); row++) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(this.width - 1, x + radius); column++) {
        if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius * radius) this.labels[row * this.width + column] = label;
      }
    }
  }

  #now(): Moment {
    return { labels: this.labels.slice(), layers: this.layers };
  }

  #go(from: Moment[], to: Moment[]): void {
    const moment = from.pop();
    if (!moment) return;
    to.push(this.#now());
    [this.labels, this.layers] = [moment.labels, moment.layers];
  }
}
