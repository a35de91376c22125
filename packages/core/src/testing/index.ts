export * from './gaussian.js';
export * from './mixture.js';
