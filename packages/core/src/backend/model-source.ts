/** Where a graph's bytes come from. `path` lets a Node backend read the file itself. */
export interface ModelSource {
  readonly name: string;
  readonly bytes: () => Promise<Uint8Array>;
  readonly path?: string;
  /** Lower-case hexadecimal; checked before the graph is parsed. */
  readonly sha256?: string;
  /** Weights beside the graph; `path` as the graph names them. */
  readonly externalData?: readonly { readonly path: string; readonly bytes?: () => Promise<Uint8Array> }[];
  /** Folder that holds the external data, for backends that read from disk. */
  readonly folder?: string;
}
