/** Element types that cross the border to a backend. */
export type DType = 'float32' | 'float16' | 'int32' | 'int64' | 'uint8' | 'bool';

/** The array that holds each element type on the host (float16 as raw bits: Node 20 has no Float16Array). */
export interface DataOf {
  float32: Float32Array;
  float16: Uint16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** Sizes of the axes, outermost first. */
export type Shape = readonly number[];

/** A value that may come at once (host) or later (a device). */
export type MaybePromise<T> = T | Promise<T>;

/** C-contiguous numbers on some device. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly device: Device;
  /** The only way off a device. */
  toHost(): Promise<HostTensor<D>>;
  /** Frees device memory. Idempotent; does nothing on the host. */
  dispose(): void;
}

/** A tensor in JavaScript memory. */
export interface HostTensor<D extends DType = 'float32'> extends Tensor<D> {
  readonly data: DataOf[D];
}

/** One summand of a linear combination: coefficient (float64) times tensor (float32). */
export type Term = readonly [coefficient: number, tensor: Tensor];

/** Where tensors live, and the one arithmetic operation that solvers need there. */
export interface Device {
  readonly id: string;
  /** Σ cᵢ·tᵢ over float32 tensors of one shape. */
  lincomb(terms: readonly Term[]): MaybePromise<Tensor<'float32'>>;
  /** A copy here of a tensor on the host (of any element type that graphs take, if graphs run here). */
  fromHost(tensor: HostTensor): MaybePromise<Tensor<'float32'>>;
  /** `[m, …]` followed by `[n, …]`, float32. Absent: through the host. */
  readonly concat?: (a: Tensor, b: Tensor) => MaybePromise<Tensor<'float32'>>;
  /** Rows `from` (included) to `to` (excluded) of `[B, …]`, float32. Absent: through the host. */
  readonly rows?: (tensor: Tensor, from: number, to: number) => MaybePromise<Tensor<'float32'>>;
  /** A copy in another element type. Absent, or undefined for types it does not know: through the host. */
  readonly cast?: (tensor: Tensor, dtype: DType) => MaybePromise<Tensor> | undefined;
}

/** Number of elements of a shape. */
export const sizeOf = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);

/** `[1, 3, 32, 32]`, for messages. */
export const shapeText = (shape: Shape): string => `[${shape.join(', ')}]`;
