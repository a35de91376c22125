export * from './card.js';
export { loadModel, type LoadModelOptions, type Model } from './load.js';
export * from './words.js';
