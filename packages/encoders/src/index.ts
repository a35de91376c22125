export * from './clip-image.js';
export * from './clip-text.js';
export * from './t5.js';
export { textEncoder, type TextEncoderOptions, type TextGraphNames } from './text-encoder.js';
export { clipTokenizerJson, type ClipVocabulary } from './text/clip-json.js';
export * from './text/tokenizer.js';
