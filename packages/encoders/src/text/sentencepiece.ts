/*
 * T5's tokenizer.json from SentencePiece's spiece.model, as `transformers` 5 converts it (T5Converter): what repositories have that
 * were made before tokenizer.json was, such as DeepFloyd IF and PixArt. Format: sentencepiece_model.proto.
 */
import { CapabilityError, integer, ModelError } from '@ediffi/core';
import { base64Encode, BinaryReader, type WireType } from '@bufbuild/protobuf/wire';

/** ModelProto.SentencePiece.Type */
const [UNKNOWN, CONTROL] = [2, 3];
/** TrainerSpec.ModelType */
const UNIGRAM = 1;

interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

type Read = (field: number, reader: BinaryReader, wire: WireType) => boolean;

/** Calls `read` for each field of a message; what it does not take is skipped. */
function each(bytes: Uint8Array, read: Read): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (!read(field, reader, wire)) reader.skip(wire);
  }
}

function pieceOf(bytes: Uint8Array): Piece {
  const out = { text: '', score: 0, type: 1 };
  each(bytes, (field, reader) => {
    if (field === 1) out.text = reader.string();
    else if (field === 2) out.score = reader.float();
    else if (field === 3) out.type = reader.int32();
    else return false;
    return true;
  });
  return out;
}

interface SentencePiece {
  readonly pieces: readonly Piece[];
  readonly kind: number;
  readonly unknown: number;
  readonly end: number;
  readonly byteFallback: boolean;
  readonly charsmap: Uint8Array;
}

function modelOf(bytes: Uint8Array): SentencePiece {
  const pieces: Piece[] = [];
  const trainer = { kind: UNIGRAM, unknown: 0, end: 2, byteFallback: false };
  let charsmap: Uint8Array = new Uint8Array(0);
  let whole = false; // what says how it was trained follows the pieces
  each(bytes, (field, reader) => {
    if (field === 1) pieces.push(pieceOf(reader.bytes()));
    else if (field === 2) {
      whole = true;
      each(reader.bytes(), (key, inner) => {
        if (key === 3) trainer.kind = inner.int32();
        else if (key === 35) trainer.byteFallback = inner.bool();
        else if (key === 40) trainer.unknown = inner.int32();
        else if (key === 42) trainer.end = inner.int32();
        else return false;
        return true;
      });
    } else if (field === 3) each(reader.bytes(), (key, inner) => key === 2 && ((charsmap = inner.bytes()), true));
    else return false;
    return true;
  });
  return { pieces: whole ? pieces : [], ...trainer, charsmap };
}

/**
 * The tokenizer.json of a T5 model's spiece.model; `extraIds`: how many `<extra_id_…>` follow its pieces (T5: 100).
 * Throws ModelError for bytes that are no SentencePiece model, CapabilityError for one that is not Unigram.
 */
export function t5TokenizerJson(bytes: Uint8Array, extraIds = 100): object {
  integer('extra ids', extraIds, 0);
  let model: SentencePiece;
  try {
    model = modelOf(bytes);
  } catch (cause) {
    throw new ModelError(`spiece.model: ${bytes.length} bytes that are no SentencePiece model — the file is truncated or another one`, 'spiece.model', { cause });
  }
  const { pieces, unknown, end, byteFallback, charsmap } = model;
  if (!pieces[unknown] || !pieces[end]) throw new ModelError(`spiece.model: ${pieces.length} pieces, without its unknown (${unknown}) or end (${end}) piece — the file is truncated or no T5's`, 'spiece.model');
  if (model.kind !== UNIGRAM) throw new CapabilityError('tokenizer', `spiece.model: its model type is ${model.kind}, only Unigram (${UNIGRAM}) is read — convert it to tokenizer.json with transformers`);
  const extra = Array.from({ length: extraIds }, (_, i) => `<extra_id_${extraIds - 1 - i}>`);
  const special = (id: number, content: string): object => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true });
  const metaspace = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true };
  const last = pieces[end].text;
  return {
    version: '1.0',
    added_tokens: [...pieces.flatMap(({ text, type }, id) => (type === UNKNOWN || type === CONTROL ? [special(id, text)] : [])), ...extra.map((text, i) => special(pieces.length + i, text))],
    normalizer: charsmap.length ? { type: 'Precompiled', precompiled_charsmap: base64Encode(charsmap) } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: last, type_id: 0 } }],
      pair: [],
      special_tokens: { [last]: { id: last, ids: [end], tokens: [last] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: unknown, byte_fallback: byteFallback, vocab: [...pieces.map(({ text, score }) => [text, score]), ...extra.map((text) => [text, 0])] },
  };
}
