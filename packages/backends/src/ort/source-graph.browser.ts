/* A source's graph in a page: its weights are inside or in memory. */
export { memoryGraph as sourceGraph } from './memory-graph.js';
