/* Graphs looked at, and cut, before a backend loads them: in pages, where all of a graph is in memory. */
export { graphOutline, type GraphOutline } from './ort/outline.js';
export { withoutLayers } from './ort/without-layers.js';
