/* Where models come from in a page: there are no folders on disk. */
export { graphSource } from './graph-source.js';
export { hubFiles } from './hub/hub.js';
export type { Download, HubOptions } from './hub/options.js';
export { memoryFiles } from './memory.js';
export type { ModelFiles } from './model-files.js';
export { filesOf, type FilesSource } from './source.js';
export { urlFiles } from './url.js';
