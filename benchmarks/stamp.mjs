import { cpus, totalmem } from 'node:os';
import { createRequire } from 'node:module';

/** Machine and versions, for every result. */
export function stamp() {
  const require = createRequire(import.meta.url);
  const versionOf = (name) => {
    try {
      return require(`${name}/package.json`).version;
    } catch {
      return 'unknown';
    }
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30) },
    versions: { node: process.versions.node, onnxruntime: versionOf('onnxruntime-node') },
  };
}
