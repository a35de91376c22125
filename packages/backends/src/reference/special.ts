import { erfc } from '@ediffi/core';

/** Error function in float64. */
export const erf = (x: number): number => 1 - erfc(x);
