// The film of examples/video-masks at its full length: prints the table of docs/guide/paint-with-words.md, writes out/video-masks.gif.
//
//   node benchmarks/video-masks.mjs [--frames 24] [--steps 16] [--strength 0.85]
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { importExample } from './lib/example.mjs';

const { values } = parseArgs({ options: { frames: { type: 'string', default: '24' }, steps: { type: 'string', default: '16' }, strength: { type: 'string', default: '0.85' } } });
const { main } = await importExample('video-masks');
const { file } = await main(fileURLToPath(new URL('../out', import.meta.url)), Number(values.frames), Number(values.steps), Number(values.strength));
console.log(file);
