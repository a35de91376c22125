// Examples are TypeScript for readers; benchmarks run the same files.
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What examples/NAME/main.ts exports. */
export async function importExample(name) {
  const example = at(`../../examples/${name}/main.ts`);
  const define = { 'import.meta.url': JSON.stringify(pathToFileURL(example).href) }; // its files are beside it
  const { outputFiles } = await build({ entryPoints: [example], bundle: true, write: false, format: 'esm', platform: 'node', external: ['ediffi', '@ediffi/*'], define });
  const program = at(`../.${name}-${process.pid}.mjs`); // here, where the packages are found
  writeFileSync(program, outputFiles[0].text);
  try {
    return await import(program);
  } finally {
    rmSync(program);
  }
}
