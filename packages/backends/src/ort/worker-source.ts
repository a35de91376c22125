/*
 * What runs inside each worker thread, as source text: it needs no file of its own, so it works from dist, from src under a test runner,
 * and in bundles. One worker holds one session, because sessions cannot move between threads and onnxruntime-node blocks its thread.
 */
export const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
const ort = require(workerData.runtime);
let session;
const info = (metadata) => metadata.map((m) => ({ name: m.name, dtype: m.type, shape: m.isTensor ? [...m.shape] : [] }));
const actions = {
  async create({ model, options }) {
    session = await ort.InferenceSession.create(model, options);
    return [{ inputs: info(session.inputMetadata), outputs: info(session.outputMetadata) }, []];
  },
  async run({ feeds }) {
    const inputs = {};
    for (const [name, { dtype, data, shape }] of Object.entries(feeds)) inputs[name] = new ort.Tensor(dtype, data, shape);
    const results = await session.run(inputs);
    const outputs = {};
    const transfer = [];
    for (const [name, t] of Object.entries(results)) {
      // A view into ONNX Runtime's own memory cannot be transferred; a whole ArrayBuffer can.
      const data = t.data.byteLength === t.data.buffer.byteLength ? t.data : t.data.slice();
      outputs[name] = { dtype: t.type, shape: [...t.dims], data };
      transfer.push(data.buffer);
    }
    return [outputs, transfer];
  },
  async release() {
    await session?.release();
    session = undefined;
    return [true, []];
  },
};
parentPort.on('message', async ({ id, action, ...request }) => {
  try {
    const [result, transfer] = await actions[action](request);
    try {
      parentPort.postMessage({ id, result }, transfer);
    } catch {
      parentPort.postMessage({ id, result }); // a buffer that refuses to move is copied
    }
  } catch (error) {
    parentPort.postMessage({ id, error: String(error && error.message || error) });
  }
});
`;
