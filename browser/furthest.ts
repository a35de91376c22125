/** The largest difference of two runs of numbers; `at` says which of `b` belongs to the i-th of `a`. */
export function furthest(a: ArrayLike<number>, b: ArrayLike<number>, at: (i: number) => number = (i) => i): number {
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[at(i)]!));
  return most;
}

/** Where the i-th number of RGB pixels stands in RGBA pixels. */
export const inRgba = (i: number): number => Math.floor(i / 3) * 4 + (i % 3);
