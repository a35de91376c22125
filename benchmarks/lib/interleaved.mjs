/** Seconds of each run in each round, by the names (or places) of the runs: one round that loads and warms up and that nobody counts, then `rounds`, the order rotated each time, so that a busy minute hits all. */
export async function interleaved(runs, rounds) {
  const names = Object.keys(runs);
  const seconds = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + Math.max(0, round)) % names.length];
      const started = performance.now();
      await runs[name]();
      if (round >= 0) seconds[name].push((performance.now() - started) / 1000);
    }
  }
  return seconds;
}
