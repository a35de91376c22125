import { folderFiles } from './folder.js';
import { openModel, type LoadModelOptions, type Model } from './load.js';

export * from './card.js';
export type { LoadModelOptions, Model } from './load.js';
export { webFiles, type DownloadProgress, type WebFilesOptions } from './web-files.js';
export * from './words.js';

/** Opens a model. Rejects with ModelError for a missing, cut-off or altered file, before anything is loaded. */
export const loadModel = (options: LoadModelOptions = {}): Promise<Model> => openModel(options, folderFiles);
