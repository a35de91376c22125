/* Programs in the pages that a page can run: what runs, and how it is said so that a worker can. */
import ts from 'typescript';

const HERE = new Set(['ediffi', '@ediffi/core', '@ediffi/core/testing', '@ediffi/sampler', 'node:fs/promises']);

/**
 * A program as the body of an async function of `live`, the modules by name; undefined for one that needs a folder on disk or a package
 * that is not in the page. Types, and imports of nothing but types, are gone.
 */
export function liveCode(program: string): string | undefined {
  if (!program.startsWith('import ') || /\breadFile\b|Pipeline\.open\(/.test(program)) return undefined;
  const { outputText } = ts.transpileModule(program, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } });
  const missing: string[] = [];
  const body = outputText.replace(/^import \{([^}]*)\} from '([^']*)';$/gm, (_, names: string, from: string) => {
    if (!HERE.has(from)) missing.push(from);
    return `const {${names.replace(/\bas\b/g, ':')}} = live['${from}'];`;
  });
  return missing.length || /^import /m.test(body) ? undefined : body;
}
