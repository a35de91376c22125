/*
 * What a WebGPU worker does besides running graphs: tensors that stay on the device, under numbers the other side gives, and the
 * arithmetic on them. One WGSL kernel adds: Σ cᵢ·tᵢ in float32, six terms a pass. As source text for the reason worker-source.ts says.
 */

/** Bytes of a buffer for `n` bytes: ONNX Runtime wants multiples of 16. */
const SIZE = 'const room = (bytes) => Math.max(16, Math.ceil(bytes / 16) * 16);';

/** WGSL of one pass over n terms; `more` adds to what is there. */
const LINCOMB = `
const lincombCode = (n, more) => \`
struct Given { count: u32, c: array<vec4<f32>, 2> }
@group(0) @binding(0) var<storage, read_write> sum: array<f32>;
@group(0) @binding(1) var<uniform> given: Given;
\${Array.from({ length: n }, (_, i) => '@group(0) @binding(' + (i + 2) + ') var<storage, read> t' + i + ': array<f32>;').join('\\n')}
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < given.count; i += 256u * groups.x) {
    sum[i] = \${[...(more ? ['sum[i]'] : []), ...Array.from({ length: n }, (_, i) => 'given.c[' + (i >> 2) + '][' + (i & 3) + '] * t' + i + '[i]')].join(' + ')};
  }
}\`;`;

/** WGSL of float32 → float16 and back, two float16 to a word. */
const CAST = `
const castCode = (half) => \`
struct Given { count: u32 }
@group(0) @binding(0) var<storage, read_write> result: array<\${half ? 'u32' : 'f32'}>;
@group(0) @binding(1) var<uniform> given: Given;
@group(0) @binding(2) var<storage, read> source: array<\${half ? 'f32' : 'u32'}>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; 2u * i < given.count; i += 256u * groups.x) {
    \${half
      ? 'result[i] = pack2x16float(vec2<f32>(source[2u * i], select(0.0, source[2u * i + 1u], 2u * i + 1u < given.count)));'
      : 'let pair = unpack2x16float(source[i]); result[2u * i] = pair.x; if (2u * i + 1u < given.count) { result[2u * i + 1u] = pair.y; }'}
  }
}\`;`;

/** Actions on tensors of the device. `created` sets `gpu`. */
export const gpuSource = `
${SIZE}${LINCOMB}${CAST}
const USAGE = 0x80 | 0x8 | 0x4; // STORAGE, COPY_DST, COPY_SRC
const TERMS = 6; // with the sum seven storage buffers; every device has eight
const BYTES = { float32: 4, float16: 2, int32: 4, int64: 8, uint8: 1, bool: 1 };
const there = new Map();
const pipelines = new Map();
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
const needed = (ref) => {
  if (!there.has(ref)) throw new Error('a tensor on the device is used after it was freed');
  return there.get(ref);
};
function made(ref, dtype, shape) {
  const buffer = gpu.createBuffer({ size: room(sizeOf(shape) * BYTES[dtype]), usage: USAGE });
  there.set(ref, { buffer, dtype, shape, free: () => buffer.destroy() });
  return buffer;
}
async function pipelineFor(name, code) {
  if (pipelines.has(name)) return pipelines.get(name);
  gpu.pushErrorScope('validation'); // else a kernel that does not compile would compute nothing and say nothing
  const pipeline = gpu.createComputePipeline({ layout: 'auto', compute: { module: gpu.createShaderModule({ code: code() }), entryPoint: 'main' } });
  const error = await gpu.popErrorScope();
  if (error) throw new Error('the kernel ' + name + ': ' + error.message);
  pipelines.set(name, pipeline);
  return pipeline;
}
async function compute(name, code, count, given, buffers) {
  const pipeline = await pipelineFor(name, code);
  const uniform = gpu.createBuffer({ size: room(given.byteLength), usage: 0x40 | 0x8 }); // UNIFORM, COPY_DST
  gpu.queue.writeBuffer(uniform, 0, given);
  const [to, ...from] = buffers;
  const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [to, uniform, ...from].map((buffer, binding) => ({ binding, resource: { buffer } })) });
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.min(65535, Math.max(1, Math.ceil(count / 256))));
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  uniform.destroy(); // after the commands that read it: the device waits for them
}
function copied(copies) {
  const encoder = gpu.createCommandEncoder();
  for (const copy of copies) encoder.copyBufferToBuffer(...copy);
  gpu.queue.submit([encoder.finish()]);
}
place = {
  take: (ref) => {
    const { buffer, dtype, shape } = needed(ref);
    return ort.Tensor.fromGpuBuffer(buffer, { dataType: dtype, dims: shape });
  },
  keep(tensor, ref) {
    if (tensor.location !== 'gpu-buffer') return false;
    there.set(ref, { buffer: tensor.gpuBuffer, dtype: tensor.type, shape: [...tensor.dims], free: () => tensor.dispose() });
    return true;
  },
};
Object.assign(actions, {
  async upload({ ref, dtype, shape, data }) {
    const bytes = new Uint8Array(room(data.byteLength)); // writes are in multiples of 4 bytes
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    gpu.queue.writeBuffer(made(ref, dtype, shape), 0, bytes);
    return [true, []];
  },
  async read({ ref }) {
    const { buffer, dtype, shape } = needed(ref);
    const bytes = sizeOf(shape) * BYTES[dtype];
    const size = Math.ceil(bytes / 4) * 4;
    if (size === 0) return [new ArrayBuffer(0), []];
    const staging = gpu.createBuffer({ size, usage: 0x1 | 0x8 }); // MAP_READ, COPY_DST
    copied([[buffer, 0, staging, 0, size]]);
    await staging.mapAsync(0x1);
    const data = staging.getMappedRange().slice(0, bytes);
    staging.destroy();
    return [data, [data]];
  },
  async drop({ refs }) {
    for (const ref of refs) {
      there.get(ref)?.free();
      there.delete(ref);
    }
    return [true, []];
  },
  async lincomb({ ref, shape, terms }) {
    const count = sizeOf(shape);
    const from = terms.map(([, t]) => needed(t).buffer);
    const sum = made(ref, 'float32', shape);
    for (let i = 0; i < terms.length; i += TERMS) {
      const part = terms.slice(i, i + TERMS);
      const given = new ArrayBuffer(48);
      new Uint32Array(given, 0, 1)[0] = count;
      new Float32Array(given, 16).set(part.map(([c]) => c));
      await compute('lincomb ' + part.length + (i > 0), () => lincombCode(part.length, i > 0), count, given, [sum, ...from.slice(i, i + TERMS)]);
    }
    return [true, []];
  },
  async cast({ ref, from, dtype }) {
    const { buffer, shape } = needed(from);
    const count = sizeOf(shape);
    await compute('cast ' + dtype, () => castCode(dtype === 'float16'), Math.ceil(count / 2), Uint32Array.of(count, 0, 0, 0), [made(ref, dtype, shape), buffer]);
    return [true, []];
  },
  async concat({ ref, shape, parts }) {
    const from = parts.map((part) => needed(part));
    const to = made(ref, 'float32', shape);
    let at = 0;
    copied(from.map(({ buffer, shape: own }) => {
      const size = 4 * sizeOf(own);
      at += size;
      return [buffer, 0, to, at - size, size];
    }));
    return [true, []];
  },
  async rows({ ref, of, from, shape }) {
    const { buffer } = needed(of);
    const size = 4 * sizeOf(shape);
    copied([[buffer, (size / shape[0]) * from, made(ref, 'float32', shape), 0, size]]);
    return [true, []];
  },
});
`;
