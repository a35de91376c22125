import type { GraphSites, Session } from '../backend/session.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import { columnsOf, findPhrase } from '../conditioning/spans.js';
import { CapabilityError, PhraseError } from '../errors/errors.js';
import { float32 } from '../tensor/host.js';
import type { Shape, Tensor } from '../tensor/tensor.js';

interface Names {
  readonly embeddings: Readonly<Record<string, { readonly tokens?: string }>>;
}

/** Entry of a list that serves `rows` rows, for row r: each entry serves as many rows in a row. */
const served = <T>(list: readonly T[], r: number, rows: number): T | undefined => list[Math.floor((r * list.length) / rows)];

/**
 * The maps A of every attention resolution, as feeds `regions_s<stride>` `[1 or B, 1, tokens, T]`. A phrase owns the columns of its
 * tokens in every encoder that has spans; columns of image and null tokens stay 0. Without regions: zeros.
 * Throws PhraseError for a phrase that no encoder reads, CapabilityError where regions could only be ignored.
 */
export async function regionFeeds(session: Session, condition: Conditioning, shape: Shape, names: Names): Promise<Record<string, Tensor>> {
  const sites = session.sites;
  if (!sites) return {};
  const [batch = 1, , height = 1, width = 1] = shape;
  const columns = columnsFor(sites.columns, condition, names);
  const total = columns.reduce((sum, column) => sum + column.length, 0);
  const { prompts = [], painted = [true] } = condition;
  if (condition.regions) checkVisible(session, condition, names);
  // One map serves every row when all painted rows have the same prompt; strength 0 keeps it off the others.
  const several = condition.regions && new Set(prompts.filter((_, r) => served(painted, r, prompts.length))).size > 1;
  const [rows, source] = several ? [batch, batch] : [1, painted.length];
  const feeds: Record<string, Tensor> = {};
  for (const { stride, input } of sites.strides) {
    if (input === undefined) continue;
    const [h, w] = [Math.ceil(height / stride), Math.ceil(width / stride)];
    const data = new Float32Array(rows * h * w * total);
    for (let row = 0; row < rows && condition.regions; row++) {
      const r = several ? row : painted.indexOf(true);
      if (r < 0 || !served(painted, r, source)) continue;
      for (const column of columns) {
        const map = columnMap(condition, encoderOf(column.input, names), r, source, h, w, column.length);
        if (!map) continue;
        for (let i = 0; i < h * w; i++) data.set(map.subarray(i * column.length, (i + 1) * column.length), (row * h * w + i) * total + column.offset);
      }
    }
    feeds[input] = float32(data, [rows, 1, h * w, total]);
  }
  return feeds;
}

/** The key columns with the lengths of this conditioning, where the graph takes any length (−1). */
export function columnsFor(columns: GraphSites['columns'], condition: Conditioning, names: Names): GraphSites['columns'] {
  let offset = 0;
  return columns.map(({ input, length }) => {
    const encoder = encoderOf(input, names);
    const known = length >= 0 ? length : (encoder === undefined ? undefined : condition.embeddings[encoder]?.tokens.shape[1]) ?? 1;
    offset += known;
    return { input, length: known, offset: offset - known };
  });
}

/** Nothing is ignored silently: regions need prompts, the graph's statistic, and at least one token each. */
function checkVisible(session: Session, condition: Conditioning, names: Names): void {
  const { regions, prompts = [], painted = [true], embeddings } = condition;
  if (!regions) return;
  const made = session.sites?.statistic;
  if (made !== undefined && made !== regions.statistic) {
    throw new CapabilityError('regions', `${session.name}: the regions want the statistic '${regions.statistic}', the graph was loaded with '${made}' — load it with { instrument: { regions: true, statistic: '${regions.statistic}' } }`);
  }
  if (!prompts.length) throw new CapabilityError('regions', `${session.name}: regions were given without the prompts that their phrases are in — set Conditioning.prompts`);
  prompts.forEach((prompt, r) => {
    if (!served(painted, r, prompts.length)) return;
    for (const { phrase, occurrence } of regions.regions) {
      const ranges = findPhrase(prompt, phrase, occurrence);
      const readers = Object.entries(embeddings).filter(([encoder]) => names.embeddings[encoder]?.tokens !== undefined);
      if (readers.some(([, { spans }]) => columnsOf(served(spans, r, prompts.length) ?? [], ranges).length > 0)) continue;
      const lengths = readers.map(([encoder, { length }]) => `${encoder}: ${length} tokens`).join(', ') || 'no text encoder was given';
      throw new PhraseError(`"${phrase}" has no token in any encoder of ${session.name} (${lengths}) — shorten the prompt, or encode it with t5 or clip`, phrase, prompt, []);
    }
  });
}

function encoderOf(input: string, names: Names): string | undefined {
  return Object.entries(names.embeddings).find(([, inputs]) => inputs.tokens === input)?.[0];
}

/** A for row r of `rows` and one encoder, or nothing when the encoder has no words there. */
function columnMap(condition: Conditioning, encoder: string | undefined, r: number, rows: number, height: number, width: number, length: number): Float32Array | undefined {
  const embedding = encoder === undefined ? undefined : condition.embeddings[encoder];
  const spans = embedding && served(embedding.spans, r, rows);
  const prompt = served(condition.prompts ?? [], r, rows);
  return spans?.length && prompt !== undefined ? condition.regions?.map(prompt, spans, height, width, length) : undefined;
}
