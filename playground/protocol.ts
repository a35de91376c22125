/* What the page and its worker say to each other. */

/** RGBA pixels. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** Words and where they go: 1 inside, 0 outside, row-major. */
export interface PlacedWords {
  readonly phrase: string;
  readonly mask: Float32Array;
}

/** One picture to paint. */
export interface Wish {
  readonly prompt: string;
  readonly seed: number;
  /** The best of so many by CLIP; 1: the seed's own picture. */
  readonly candidates: number;
  readonly steps: number;
  readonly solver: string;
  readonly guidance: number;
  readonly width: number;
  readonly height: number;
  readonly placed: readonly PlacedWords[];
  readonly paint: number;
  readonly style?: Pixels;
  readonly styleStrength: number;
  readonly image?: Pixels;
  readonly strength: number;
  readonly attention: boolean;
}

export type Request = { readonly type: 'paint'; readonly wish: Wish } | { readonly type: 'stop' };

/** Where the picture looked at a word: values in 0…1. */
export interface WordMap {
  readonly word: string;
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

export type Answer =
  | { readonly type: 'loading'; readonly loaded: number; readonly total: number; readonly cached: boolean }
  | { readonly type: 'plan'; readonly experts: readonly { readonly name: string; readonly calls: number }[] }
  | { readonly type: 'step'; readonly index: number; readonly count: number; readonly stage: string; readonly expert: string; readonly sigma: number; readonly seed: number; readonly preview: Pixels }
  | { readonly type: 'done'; readonly seed: number; readonly picture: Pixels; readonly png: Uint8Array<ArrayBuffer>; readonly warnings: readonly string[]; readonly maps: readonly WordMap[]; readonly device: string; readonly seconds: number }
  | { readonly type: 'failed'; readonly message: string; readonly stopped: boolean };
