export * from './clip-image.js';
export * from './clip-text.js';
export { hubTextEncoder, type HubTextOptions } from './hub/hub-text-encoder.js';
export { hubTokenizer, type HubTokenizer, type HubTokenizerFiles } from './hub/hub-tokenizer.js';
export { absentEmbedding, joinChannels, joinTokens, padChannels } from './hub/join-embeddings.js';
export * from './t5.js';
export { textEncoder, type TextEncoderOptions, type TextGraphNames } from './text-encoder.js';
export { clipTokenizerJson, type ClipVocabulary } from './text/clip-json.js';
export * from './text/tokenizer.js';
