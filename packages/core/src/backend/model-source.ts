/** Where a graph's bytes come from. `path` lets a Node backend read the file itself. */
export interface ModelSource {
  readonly name: string;
  readonly bytes: () => Promise<Uint8Array>;
  readonly path?: string;
  /** Lower-case hexadecimal; checked before the graph is parsed. */
  readonly sha256?: string;
  /** Weights beside the graph; `path` as the graph names them. */
  readonly externalData?: readonly { readonly path: string; readonly bytes?: () => Promise<Uint8Array> }[];
  /** What was changed of the file: a backend that has a copy of its own must not run that instead. */
  readonly edited?: string;
  /** Folder that holds the external data, for backends that read from disk. */
  readonly folder?: string;
}
