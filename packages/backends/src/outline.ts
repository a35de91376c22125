/* Graphs looked at, and cut, before a backend loads them. */
export { graphOutline, type GraphOutline } from './ort/outline.js';
export { withoutLayers } from './ort/without-layers.js';
