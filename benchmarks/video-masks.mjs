// The film of examples/video-masks at its full length: prints the table of docs/guide/paint-with-words.md, writes out/video-masks.gif.
//
//   node benchmarks/video-masks.mjs [--frames 24] [--steps 16] [--strength 0.85]
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({ options: { frames: { type: 'string', default: '24' }, steps: { type: 'string', default: '16' }, strength: { type: 'string', default: '0.85' } } });
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const { outputFiles } = await build({ entryPoints: [at('../examples/video-masks/main.ts')], bundle: true, write: false, format: 'esm', platform: 'node', external: ['ediffi', '@ediffi/*'] });
const program = at(`.video-masks-${process.pid}.mjs`); // here, where the packages are found
writeFileSync(program, outputFiles[0].text);
try {
  const { main } = await import(program);
  const { file } = await main(at('../out'), Number(values.frames), Number(values.steps), Number(values.strength));
  console.log(file);
} finally {
  rmSync(program);
}
