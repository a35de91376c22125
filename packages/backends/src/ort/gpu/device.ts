/* Tensors that stay in a worker's graphics memory, known here by number, and the device that computes with them. */
import { BackendError, DisposedError, hostTensor, ShapeError, type DataOf, type Device, type DType, type HostTensor, type Shape, type Tensor, type Term } from '@ediffi/core';
import type { Kept } from '../backend.js';
import type { Thread } from '../thread.js';

const ARRAYS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array } as const;

let count = 0;

/** A tensor in graphics memory. `toHost` and everything else reject with BackendError when the device is lost, DisposedError after `dispose`. */
class DeviceTensor<D extends DType> implements Tensor<D> {
  #freed = false;

  constructor(
    readonly device: GpuDevice,
    readonly ref: number,
    readonly dtype: D,
    readonly shape: Shape,
  ) {}

  /** Its number in the worker; throws DisposedError when it was freed. */
  get alive(): number {
    if (this.#freed) throw new DisposedError('a tensor on the graphics processor');
    return this.ref;
  }

  async toHost(): Promise<HostTensor<D>> {
    const bytes = await this.device.ask<ArrayBuffer>('read', { ref: this.alive });
    return hostTensor(new ARRAYS[this.dtype](bytes) as DataOf[D], this.shape, this.dtype);
  }

  dispose(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.device.forget(this, this.ref);
  }
}

/** WebGPU in a worker. Sums are float32; coefficients are rounded to it. */
export class GpuDevice implements Device, Kept {
  // What nobody freed goes with its handle; solvers free most themselves.
  readonly #lost = new FinalizationRegistry<number>((ref) => this.drop([ref]));

  constructor(
    readonly id: string,
    private readonly thread: () => Promise<Thread>,
  ) {}

  async ask<T>(action: string, request: Readonly<Record<string, unknown>>, transfer: readonly ArrayBuffer[] = []): Promise<T> {
    return (await this.thread()).ask<T>(action, request, transfer);
  }

  next(): number {
    return ++count;
  }

  refOf(tensor: Tensor): number | undefined {
    return tensor instanceof DeviceTensor && tensor.device === this ? tensor.alive : undefined;
  }

  tensor<D extends DType>(ref: number, dtype: D, shape: Shape): Tensor<D> {
    const made = new DeviceTensor(this, ref, dtype, shape);
    this.#lost.register(made, ref, made);
    return made;
  }

  drop(refs: readonly number[]): void {
    this.ask('drop', { refs }).catch(() => undefined); // a worker that is gone has freed everything
  }

  forget(tensor: object, ref: number): void {
    this.#lost.unregister(tensor);
    this.drop([ref]);
  }

  async fromHost({ dtype, shape, data }: HostTensor): Promise<Tensor<'float32'>> {
    const ref = this.next();
    const copy = data.slice();
    await this.ask('upload', { ref, dtype, shape: [...shape], data: copy }, [copy.buffer as ArrayBuffer]);
    return this.tensor(ref, dtype, shape);
  }

  async lincomb(terms: readonly Term[]): Promise<Tensor<'float32'>> {
    const first = terms[0]?.[1];
    if (!first) throw new ShapeError('lincomb', 'at least one term', 'none');
    const refs = terms.map(([coefficient, tensor]) => [coefficient, this.#like(tensor, first)] as const);
    return this.#answer('lincomb', { terms: refs }, first.shape);
  }

  async concat(a: Tensor, b: Tensor): Promise<Tensor<'float32'>> {
    return this.#answer('concat', { parts: [this.#float32(a), this.#float32(b)] }, [a.shape[0]! + b.shape[0]!, ...a.shape.slice(1)]);
  }

  async rows(tensor: Tensor, from: number, to: number): Promise<Tensor<'float32'>> {
    return this.#answer('rows', { of: this.#float32(tensor), from }, [to - from, ...tensor.shape.slice(1)]);
  }

  cast(tensor: Tensor, dtype: DType): Promise<Tensor> | undefined {
    if (![tensor.dtype, dtype].every((type) => type === 'float32' || type === 'float16')) return undefined;
    const ref = this.next();
    return this.ask('cast', { ref, from: this.#mine(tensor), dtype }).then(() => this.tensor(ref, dtype, tensor.shape));
  }

  async #answer(action: string, request: Readonly<Record<string, unknown>>, shape: Shape): Promise<Tensor<'float32'>> {
    const ref = this.next();
    await this.ask(action, { ref, shape: [...shape], ...request });
    return this.tensor(ref, 'float32', shape);
  }

  #like(tensor: Tensor, first: Tensor): number {
    if (tensor.shape.length !== first.shape.length || tensor.shape.some((n, i) => n !== first.shape[i])) throw new ShapeError('lincomb', `[${first.shape.join(', ')}]`, `[${tensor.shape.join(', ')}]`);
    return this.#float32(tensor);
  }

  #float32(tensor: Tensor): number {
    if (tensor.dtype !== 'float32') throw new ShapeError('tensor', 'float32', tensor.dtype);
    return this.#mine(tensor);
  }

  #mine(tensor: Tensor): number {
    const ref = this.refOf(tensor);
    if (ref === undefined) throw new BackendError('ort-webgpu', `a tensor on ${tensor.device.id} was given to ${this.id} — move it with device.fromHost first`);
    return ref;
  }
}
