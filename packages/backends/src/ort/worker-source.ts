/*
 * What runs inside each worker thread, as source text: it needs no file of its own, so it works from dist, from src under a test runner,
 * and in bundles. One worker holds one session, because sessions cannot move between threads and onnxruntime-node blocks its thread.
 * The other side sends one request at a time.
 */
export const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
const ort = require(workerData.runtime);
let session;
const info = (metadata) => metadata.map((m) => ({ name: m.name, dtype: m.type, shape: m.isTensor ? [...m.shape] : [] }));
// Node 24 has Float16Array; on our side float16 is raw bits in every version.
const bits = (data) => (data.constructor.name === 'Float16Array' ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data);
const actions = {
  async create({ model, options }) {
    session = await ort.InferenceSession.create(model, options);
    return [{ inputs: info(session.inputMetadata), outputs: info(session.outputMetadata) }, []];
  },
  async run({ feeds }) {
    const inputs = {};
    for (const name in feeds) inputs[name] = new ort.Tensor(feeds[name].dtype, feeds[name].data, feeds[name].shape);
    const results = await session.run(inputs);
    const outputs = {};
    const transfer = [];
    for (const name in results) {
      const whole = bits(results[name].data);
      const data = whole.byteLength === whole.buffer.byteLength ? whole : whole.slice();
      outputs[name] = { dtype: results[name].type, shape: [...results[name].dims], data };
      if (!transfer.includes(data.buffer)) transfer.push(data.buffer);
    }
    return [outputs, transfer];
  },
  async release() {
    await session?.release();
    session = undefined;
    return [true, []];
  },
};
parentPort.on('message', async ({ action, ...request }) => {
  let answer, transfer;
  try {
    [answer, transfer] = await actions[action](request);
    answer = { result: answer };
  } catch (error) {
    [answer, transfer] = [{ error: String((error && error.message) || error) }, []];
  }
  try {
    parentPort.postMessage(answer, transfer);
  } catch {
    parentPort.postMessage(answer); // a buffer in the runtime's own memory cannot move: copied
  }
});
`;
