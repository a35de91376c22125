export * from './index.browser.js';
export * from './evaluate/index.js';
export * from './open/index.js';
export * from './sources/index.js';
export { parseLora, withLora, type Lora, type LoraLayer, type LoraPart, type LoraSource, type WeightedLora } from '@ediffi/backends/lora';
