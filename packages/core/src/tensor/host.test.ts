import ndarray from 'ndarray';
import { describe, expect, it } from 'vitest';
import { cpu, float32, fromNdarray, hostTensor, int64, lincomb, ShapeError, view, zeros, type Tensor } from '../index.js';

describe('tensors', () => {
  it('sum in float64 and round once', async () => {
    const [big, small, minus] = [float32([16777216], [1]), float32([1], [1]), float32([-16777216], [1])];
    const sum = (await lincomb([1, big], [1, small], [1, minus])) as typeof big;
    expect([...sum.data]).toEqual([1]); // float32 sums would lose the 1
  });
  it('combine any number of terms alike', async () => {
    const t = [1, 2, 3, 4, 5, 6].map((v) => float32([v, -v], [2]));
    for (let n = 1; n <= 6; n++) {
      const out = (await lincomb(...t.slice(0, n).map((x, i) => [i + 1, x] as const))) as ReturnType<typeof float32>;
      const expected = t.slice(0, n).reduce((s, x, i) => s + (i + 1) * x.data[0]!, 0);
      expect([...out.data]).toEqual([expected, -expected]);
    }
  });
  it('refuse what does not fit', () => {
    expect(() => hostTensor(new Float32Array(3), [2, 2], 'float32')).toThrow(ShapeError);
    expect(() => lincomb()).toThrow(ShapeError);
    expect(() => lincomb([1, zeros([2])], [1, zeros([3])])).toThrow(ShapeError);
    expect(() => lincomb([1, int64([1], [1])])).toThrow(ShapeError);
    const elsewhere = { ...zeros([2]), device: { ...cpu, id: 'gpu' } } as Tensor;
    expect(() => lincomb([1, zeros([2])], [1, elsewhere])).toThrow(/gpu/);
  });
  it('go through the ndarray door both ways, strides resolved', () => {
    const t = float32([1, 2, 3, 4, 5, 6], [2, 3]);
    expect(view(t).get(1, 0)).toBe(4);
    const transposed = fromNdarray(view(t).transpose(1, 0));
    expect(transposed.shape).toEqual([3, 2]);
    expect([...transposed.data]).toEqual([1, 4, 2, 5, 3, 6]);
    const flipped = fromNdarray(ndarray([1, 2, 3], [3]).step(-1));
    expect([...flipped.data]).toEqual([3, 2, 1]);
    expect([...fromNdarray(ndarray(new Uint8Array([7, 8]), [2])).data]).toEqual([7, 8]);
  });
});
