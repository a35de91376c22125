import { OptionError } from '@ediffi/core';
import { openModel, type LoadModelOptions, type Model } from './load.js';

export * from './card.js';
export type { LoadModelOptions, Model } from './load.js';
export { webFiles, type DownloadProgress, type WebFilesOptions } from './web-files.js';
export * from './words.js';

/** Opens a model by `baseUrl` or `fetch`: pages have no folders. Rejects with ModelError for missing or damaged files, OptionError without either. */
export const loadModel = (options: LoadModelOptions = {}): Promise<Model> =>
  openModel(options, (folder) => {
    throw new OptionError('folder', folder, 'in a page: baseUrl (where card.json, weights/ and tokenizers/ are served) or fetch');
  });
