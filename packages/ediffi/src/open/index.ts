export type { ExpertCut } from './cut.js';
export { families, type Family } from './families.js';
export { openParts, type OpenOptions } from './open.js';
export type { TextPart, TextPlan } from './texts.js';
export { checkTiling, tiled, type TileScale, type Tiling } from './tiles.js';
