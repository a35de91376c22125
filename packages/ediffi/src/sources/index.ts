export { folderFiles } from './folder.js';
export { graphSource } from './graph-source.js';
export { hubFiles, type HubFiles } from './hub/hub.js';
export { hubCache, type Download, type HubOptions } from './hub/options.js';
export { memoryFiles } from './memory.js';
export type { ModelFiles } from './model-files.js';
export { filesOf, type FilesSource } from './source.js';
