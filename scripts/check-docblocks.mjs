// Every public export of every entry point of every package has a docblock.
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = readdirSync(join(root, 'packages')).flatMap((name) => {
  const { exports = {} } = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
  const conditions = Object.values(exports).flatMap((entry) => [entry, ...Object.values(entry)]); // { types } or { browser: { types }, types }
  return conditions.flatMap(({ types }) => (types ? [join(root, 'packages', name, types.replace('dist', 'src').replace(/\.d\.ts$/, '.ts'))] : []));
});
const config = ts.readConfigFile(join(root, 'packages/ediffi/tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, join(root, 'packages/ediffi'));
const program = ts.createProgram(entries, options);
const checker = program.getTypeChecker();
const missing = [];
for (const entry of entries) {
  const file = program.getSourceFile(entry);
  if (!file) missing.push(`${relative(root, entry)}: this entry point of its package.json has no source`);
  const module = file && checker.getSymbolAtLocation(file);
  for (const symbol of module ? checker.getExportsOfModule(module) : []) {
    const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if (!ts.displayPartsToString(real.getDocumentationComment(checker)).trim()) {
      const at = real.declarations?.[0]?.getSourceFile().fileName ?? entry;
      missing.push(`${relative(root, at)}: export '${symbol.name}' has no docblock`);
    }
  }
}
if (missing.length) {
  console.error([...new Set(missing)].join('\n'));
  process.exit(1);
}
console.log(`docblocks: ok (${entries.length} entry points)`);
