export { parseLora, type Lora, type LoraLayer, type LoraPart } from './lora/file.js';
export { withLora, type LoraSource, type WeightedLora } from './lora/merge.js';
