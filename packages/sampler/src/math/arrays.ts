/*
 * Number ranges as NumPy and PyTorch make them, to the last bit: grids depend on where these round.
 */

/** Round half to even, as np.round. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

/** n values from `start` to `stop`, both ends included (or the end left out), in float64: np.linspace. */
export function linspace(start: number, stop: number, n: number, endpoint = true): number[] {
  const parts = endpoint ? n - 1 : n;
  const step = parts > 0 ? (stop - start) / parts : 0;
  return Array.from({ length: n }, (_, i) => (endpoint && i === n - 1 && n > 1 ? stop : i * step + start));
}

/** n float32 values from `start` to `stop`: torch.linspace, which steps from both ends. */
export function linspace32(start: number, stop: number, n: number): Float32Array {
  const [lo, hi] = [Math.fround(start), Math.fround(stop)];
  const step = Math.fround(Math.fround(hi - lo) / (n - 1));
  return Float32Array.from({ length: n }, (_, i) => (n === 1 ? lo : i < n / 2 ? lo + step * i : hi - step * (n - 1 - i)));
}

/** start, start − step, … above 0: np.arange(start, 0, −step), one point more than start/step where rounding has it so. */
export function arangeDown(start: number, step: number): number[] {
  const delta = start - step - start;
  return Array.from({ length: Math.ceil(start / step) }, (_, i) => start + i * delta);
}

/** Linear interpolation of a table given at 0, 1, 2, …, clamped at its ends: np.interp. */
export function interpolate(table: ArrayLike<number>, at: number): number {
  const last = table.length - 1;
  if (at <= 0) return table[0]!;
  if (at >= last) return table[last]!;
  const low = Math.floor(at);
  return (table[low + 1]! - table[low]!) * (at - low) + table[low]!;
}
