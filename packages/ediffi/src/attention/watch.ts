/*
 * Attention while it happens: each network call's maps become, at once, one plane per word and picture and a handful of shares; the maps
 * themselves are released before the next call. With P(place → key) the mean over heads and layers, a word's plane is Σ P over the columns of its tokens.
 */
import { CapabilityError, floats, resizePlane, sigmaWindow, type AttentionRecord } from '@ediffi/core';
import { Attention, type AttentionOptions, type StepAttention } from './attention.js';
import { HeatMap } from './heat-map.js';
import { runsOf, wordColumns, wordsOf, type ColumnRun, type Word } from './words.js';

/** What calls add up to, of one picture. */
interface Sums {
  calls: number;
  words: number;
  readonly shares: Map<string, number>;
  /** Per word, on the finest grid. */
  readonly planes: readonly Float32Array[];
}

/** Watches the attention of a batch of pictures that share one prompt. */
export class AttentionWatch {
  readonly #options: AttentionOptions;
  readonly #prompt: string;
  readonly #words: readonly Word[];
  /** Places of the words that a watched encoder reads: the syntax of weights and what did not fit have no tokens. */
  readonly #read = new Set<number>();
  readonly #from: number;
  readonly #to: number;
  readonly #pictures: number;
  #pending: Promise<void>[] = [];
  #answered = false;
  #size = { height: 0, width: 0 };
  #step: readonly Sums[];
  readonly #all: readonly Sums[];
  readonly #steps: StepAttention[][];

  /** `prompt`: the text that the records' spans refer to. */
  constructor(options: AttentionOptions, prompt: string, pictures: number) {
    this.#options = options;
    this.#prompt = prompt;
    this.#words = wordsOf(prompt);
    ({ from: this.#from, to: this.#to } = sigmaWindow('attention window', options.window));
    this.#pictures = pictures;
    this.#step = this.#nothing();
    this.#all = this.#nothing();
    this.#steps = Array.from({ length: pictures }, () => []);
  }

  #nothing(): Sums[] {
    return Array.from({ length: this.#pictures }, () => ({ calls: 0, words: 0, shares: new Map(), planes: [] }));
  }

  /** The listener for CallOptions.attention; owns the record's maps. */
  readonly listen = (record: AttentionRecord): void => {
    this.#answered = true;
    const work = this.#take(record).finally(() => record.maps.forEach(({ weights }) => weights.dispose()));
    work.catch(() => undefined); // seen by whoever takes the step
    this.#pending.push(work);
  };

  async #take(record: AttentionRecord): Promise<void> {
    if (record.sigma <= this.#from || record.sigma > this.#to) return;
    const runs = runsOf(record.columns);
    const columns = wordColumns(this.#words, record.spans, this.#options.encoders);
    for (const [w, own] of columns.entries()) if (own.length > 0) this.#read.add(w);
    const finest = record.maps.reduce((a, b) => (b.height * b.width > a.height * a.width ? b : a));
    const layers = record.maps.reduce((sum, map) => sum + map.layers, 0);
    this.#size = { height: finest.height, width: finest.width };
    for (const map of record.maps) {
      const data = await floats(map.weights);
      const [, tokens = 0, keys = 0] = map.weights.shape;
      if (tokens !== map.height * map.width) throw new CapabilityError('attention maps', `stride ${map.stride}: ${tokens} places are not ${map.height} rows of ${map.width} — this graph's picture is no plane`);
      this.#step.forEach((sums, b) => this.#add(sums, data.subarray(b * tokens * keys, (b + 1) * tokens * keys), map, runs, columns, map.layers / layers));
    }
    for (const sums of this.#step) sums.calls++;
  }

  /** Adds one picture's map `[tokens, keys]`, times `weight`. */
  #add(sums: Sums, data: Float32Array, { height, width }: { height: number; width: number }, runs: readonly ColumnRun[], columns: readonly (readonly number[])[], weight: number): void {
    const tokens = height * width;
    const keys = data.length / tokens;
    const perKey = new Float64Array(keys);
    for (let i = 0; i < data.length; i++) perKey[i % keys]! += data[i]! / tokens;
    const share = (column: number): number => weight * (perKey[column] ?? 0);
    const add = (name: string, value: number): void => void sums.shares.set(name, (sums.shares.get(name) ?? 0) + value);
    let rest = weight;
    for (const { name, offset, length } of runs) {
      // A length that only the run time knows is what the others leave.
      const count = length || keys - runs.reduce((sum, run) => sum + run.length, 0);
      const sum = Array.from({ length: count }, (_, k) => share(offset + k)).reduce((a, b) => a + b, 0);
      add(name, sum);
      rest -= sum;
    }
    if (rest > 1e-3 * weight) add('picture', rest);
    for (const column of new Set(columns.flat())) sums.words += share(column);
    if (!this.#options.maps) return;
    const planes = sums.planes as Float32Array[];
    columns.forEach((own, w) => {
      const plane = Float32Array.from({ length: tokens }, (_, i) => own.reduce((sum, column) => sum + data[i * keys + column]!, 0));
      planes[w] = added(planes[w], resizePlane(plane, height, width, this.#size.height, this.#size.width), weight);
    });
  }

  /** Ends a step: what its calls looked at, per picture; nothing when its σ are not watched. Rejects with CapabilityError when the network gave no attention. */
  async step(place: { readonly index: number; readonly sigma: number; readonly expert: string }): Promise<readonly StepAttention[] | undefined> {
    const pending = this.#pending;
    this.#pending = [];
    await Promise.all(pending);
    if (!this.#answered) throw new CapabilityError('attention maps', `the expert '${place.expert}' gives no attention maps — leave attention out, or use an expert on a graph that is loaded with { instrument: { maps: true } }`);
    this.#answered = false;
    const ended = this.#step;
    if (ended[0]!.calls === 0) return undefined;
    this.#step = this.#nothing();
    return ended.map((sums, b) => {
      const step = { ...place, ...this.#means(sums), maps: this.#maps(sums) };
      this.#steps[b]!.push(this.#options.maps === 'steps' ? step : { ...step, maps: [] });
      const all = this.#all[b]!;
      all.calls++;
      sums.planes.forEach((plane, w) => ((all.planes as Float32Array[])[w] = added(all.planes[w], plane, 1 / sums.calls)));
      return step;
    });
  }

  /** What picture `b` looked at, over all steps so far. */
  result(b: number): Attention {
    return new Attention(this.#prompt, this.#steps[b]!, this.#maps(this.#all[b]!));
  }

  #means({ shares, words, calls }: Sums): Pick<StepAttention, 'shares' | 'words'> {
    return { shares: Object.fromEntries([...shares].map(([name, sum]) => [name, sum / calls])), words: words / calls };
  }

  #maps({ planes, calls }: Sums): HeatMap[] {
    return planes.flatMap((plane, w) => (this.#read.has(w) ? [new HeatMap(this.#words[w]!, plane.map((v) => v / calls), this.#size.height, this.#size.width)] : []));
  }
}

/** sum + weight · plane, in place where there is a sum. */
function added(sum: Float32Array | undefined, plane: Float32Array, weight: number): Float32Array {
  if (!sum) return plane.map((v) => weight * v);
  plane.forEach((v, i) => (sum[i]! += weight * v));
  return sum;
}
