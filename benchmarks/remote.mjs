// What a server in between costs: the same picture by this process and through `serve` in another process on the same machine, in turns. The embedded
// model's networks take milliseconds, so this is the worst case; both sides share the processor.
//
//   node benchmarks/remote.mjs [--rounds 9] [--steps 25] [--save]
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { remote } from '@ediffi/backends/remote';
import { loadEdiffi } from 'ediffi';
import { stamp } from './stamp.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, steps: { type: 'string', default: '25' }, save: { type: 'boolean', default: false } } });
const cli = fileURLToPath(new URL('../packages/ediffi/dist/cli.js', import.meta.url));
const server = spawn(process.execPath, [cli, 'serve', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const url = await new Promise((resolve) => server.stdout.on('data', (text) => resolve(/http:\S+(?=:)/.exec(text)[0])));

const models = { here: await loadEdiffi(), there: await loadEdiffi({ backend: remote(url), verify: false }) };
const seconds = { here: [], there: [] };
let equal = true;
for (let round = -1; round < Number(values.rounds); round++) { // the first round loads and is not counted
  const pictures = {};
  for (const [where, model] of Object.entries(models)) {
    const start = performance.now();
    pictures[where] = await model.generate('a panda in the snow', { seed: 7, steps: Number(values.steps) });
    if (round >= 0) seconds[where].push((performance.now() - start) / 1000);
  }
  equal &&= Buffer.compare(Buffer.from(pictures.here.data), Buffer.from(pictures.there.data)) === 0;
}
await Promise.all(Object.values(models).map((model) => model.dispose()));
server.kill('SIGINT');

const round3 = (v) => Number(v.toFixed(3));
const result = {
  ...stamp(), rounds: Number(values.rounds), steps: Number(values.steps), equal,
  seconds: { here: round3(median(seconds.here)), there: round3(median(seconds.there)) },
  ratio: { median: round3(median(seconds.there.map((s, i) => s / seconds.here[i]))), best: round3(Math.min(...seconds.there) / Math.min(...seconds.here)) },
};
console.log(JSON.stringify(result, null, 2));
if (values.save) writeFileSync(new URL('results/remote.json', import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
