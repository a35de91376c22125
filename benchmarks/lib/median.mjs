/** The median; of an even number of values the upper of the middle two. */
export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
