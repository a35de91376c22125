import { Worker } from 'node:worker_threads';
import type { Answer, Port, PortEvents } from './port.js';
import { actionsSource } from './worker-source.js';

/** The runtime is a path in workerData. */
const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
const ort = require(workerData.runtime);
const post = (answer, transfer) => parentPort.postMessage(answer, transfer);
const created = () => undefined;
${actionsSource}
parentPort.on('message', act);
`;

/** A worker thread of Node with the runtime at `runtime` (a path). */
export function nodePort(runtime: string, name: string, { answer, gone }: PortEvents): Port {
  // No inherited flags: `node --input-type=module` or a loader of the host would change what the worker's source means.
  const worker = new Worker(workerSource, { eval: true, execArgv: [], workerData: { runtime }, name: `ediffi ${name}`.slice(0, 64) });
  worker.unref();
  worker.on('message', (message: Answer) => answer(message));
  worker.on('error', (error) => gone(`the worker thread died: ${error.message}`, error));
  worker.on('exit', (code) => gone(`the worker thread ended (exit code ${code})`));
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    busy: (working) => (working ? worker.ref() : worker.unref()),
    end: () => worker.terminate(),
  };
}
