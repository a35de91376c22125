// Features that see 256 pixels: EfficientNet-Lite0, trained on ImageNet (packages/model/training/imagenet.py makes the files and says why this layer).
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { floats } from '@ediffi/core';

const weights = new URL('../weights/', import.meta.url);
const unpacked = ({ width, base64 }) => ({ width, data: new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer) });

/** The network, and its features of real pictures of the evaluation set's scenes: twice, and once of pictures that were shrunk to 128 pixels. Rejects with Error when they are of other scenes. */
export async function openImagenet(backend, set) {
  const session = await backend.load({ name: 'efficientnet-lite0', bytes: () => readFile(new URL('efficientnet-lite0.onnx', weights)) });
  const { captions, real, again, halved } = JSON.parse(readFileSync(new URL('efficientnet-lite0.json', weights), 'utf8'));
  if (set.scenes.some(({ caption }, i) => caption !== captions[i])) throw new Error('benchmarks/weights/efficientnet-lite0.json is of another evaluation set: make it anew with packages/model/training/imagenet.py');
  return {
    real: unpacked(real),
    again: unpacked(again),
    halved: unpacked(halved),
    look: async (picture) => floats((await session.run({ pixel_values: picture })).features),
    dispose: () => session.dispose(),
  };
}
