// Every public export of every package has a docblock.
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = ['core/src/index.ts', 'core/src/testing/index.ts', 'sampler/src/index.ts', 'encoders/src/index.ts', 'backends/src/index.ts', 'backends/src/ort-node.ts', 'backends/src/reference.ts', 'model/src/index.ts', 'ediffi/src/index.ts'].map((p) => join(root, 'packages', p));
const config = ts.readConfigFile(join(root, 'packages/ediffi/tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, join(root, 'packages/ediffi'));
const program = ts.createProgram(entries, options);
const checker = program.getTypeChecker();
const missing = [];
for (const entry of entries) {
  const file = program.getSourceFile(entry);
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
console.log('docblocks: ok');
