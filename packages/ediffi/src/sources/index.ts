export { folderFiles } from './folder.js';
export { memoryFiles } from './memory.js';
export type { ModelFiles } from './model-files.js';
