// Experts on machines of their own: each network runs where its weights are, and the pipeline does not know. Here both servers are in this process.
import { createBackend } from '@ediffi/backends/auto';
import { modelName, remote } from '@ediffi/backends/remote';
import { serve } from '@ediffi/backends/serve';
import type { Backend } from '@ediffi/core';
import { loadModel } from '@ediffi/model';
import { loadEdiffi, type GeneratedImage } from 'ediffi';

/** A backend that asks, for each graph, the server that has it. */
export function oneOf(serverOf: (graph: string) => string): Backend {
  const servers = new Map<string, Backend>();
  const backendOf = (url: string): Backend => servers.get(url) ?? servers.set(url, remote(url)).get(url)!;
  return {
    name: 'servers',
    device: remote('http://localhost').device, // answers come to the host
    load: (source, options) => backendOf(serverOf(modelName(source))).load(source, options),
    dispose: async () => void (await Promise.all([...servers.values()].map((backend) => backend.dispose()))),
  };
}

/** Serves the high-noise experts on one port and everything else on another, and paints through both. */
export async function main(prompt = 'a rocket in outer space', steps = 25): Promise<{ picture: GeneratedImage; asked: string[] }> {
  const model = await loadModel();
  const graphs = model.graphs();
  const isHigh = (name: string): boolean => name.includes('high');
  const engine = await createBackend();
  const first = await serve(engine, graphs.filter(({ name }) => isHigh(name)), { port: 0 });
  const second = await serve(engine, graphs.filter(({ name }) => !isHigh(name)), { port: 0 });
  const asked: string[] = [];
  const backend = oneOf((graph) => {
    asked.push(`${graph} from ${isHigh(graph) ? 'the first' : 'the second'}`);
    return isHigh(graph) ? first.url : second.url;
  });
  const ediffi = await loadEdiffi({ backend, verify: false });
  try {
    return { picture: await ediffi.generate(prompt, { seed: 7, steps }), asked };
  } finally {
    await ediffi.dispose();
    await backend.dispose();
    await Promise.all([first.close(), second.close()]);
    await engine.dispose();
  }
}
