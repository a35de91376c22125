/*
 * What runs inside the workers, as source text: it needs no file of its own, so it works from dist, from src under a test runner, and in
 * every bundler. The other side sends one request at a time.
 */

/** Requests and their answers; `ort` is the runtime, `post` sends. Sessions are told apart by number. */
export const actionsSource = `
const sessions = new Map();
let place; // where tensors may stay between calls, if anywhere
const info = (metadata) => metadata.map((m) => ({ name: m.name, dtype: m.type, shape: m.isTensor ? [...m.shape] : [] }));
// Newer JavaScript has Float16Array; on our side float16 is raw bits in every version.
const bits = (data) => (data.constructor.name === 'Float16Array' ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data);
const actions = {
  async create({ id, model, options }) {
    const session = await ort.InferenceSession.create(model, options);
    sessions.set(id, session);
    await created();
    return [{ inputs: info(session.inputMetadata), outputs: info(session.outputMetadata) }, []];
  },
  async run({ id, feeds, keep }) {
    const inputs = {};
    for (const name in feeds) inputs[name] = feeds[name].ref === undefined ? new ort.Tensor(feeds[name].dtype, feeds[name].data, feeds[name].shape) : place.take(feeds[name].ref);
    const results = await sessions.get(id).run(inputs);
    const outputs = {};
    const transfer = [];
    for (const name in results) {
      if (keep && place.keep(results[name], keep[name])) {
        outputs[name] = { dtype: results[name].type, shape: [...results[name].dims] };
        continue;
      }
      const whole = bits(results[name].data);
      const data = whole.byteLength === whole.buffer.byteLength ? whole : whole.slice();
      outputs[name] = { dtype: results[name].type, shape: [...results[name].dims], data };
      if (!transfer.includes(data.buffer)) transfer.push(data.buffer);
    }
    return [outputs, transfer];
  },
  async release({ id }) {
    const session = sessions.get(id);
    sessions.delete(id);
    await session?.release();
    return [true, []];
  },
  async end() {
    for (const id of [...sessions.keys()]) await actions.release({ id });
    return [true, []];
  },
};
async function act({ action, ...request }) {
  let answer, transfer;
  try {
    [answer, transfer] = await actions[action](request);
    answer = { result: answer };
  } catch (error) {
    [answer, transfer] = [{ error: String((error && error.message) || error) }, []];
  }
  try {
    post(answer, transfer);
  } catch {
    post(answer, []); // a buffer in the runtime's own memory cannot move: copied
  }
}
`;
