// Paint with words over time: a region moves along a path, frame by frame, with a precise mask for each. Every frame starts from the frame before
// (image to image) and from the same noise. Writes an animated GIF; measures what stands still and whether the object follows.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { float32, type HostTensor } from '@ediffi/core';
import { loadEdiffi, rgbaOf, type Cascade, type GeneratedImage, type GenerateOptions } from 'ediffi';
import { applyPalette, GIFEncoder, quantize } from 'gifenc';

const PROMPT = 'a red apple on the grass';
const [OBJECT, REST] = ['red apple', 'grass'];
const GRID = 64; // edge of the masks

/** Where the object shall be at time t of 0…1: from left to right on an arc. x and y in 0…1. */
const path = (t: number): { x: number; y: number } => ({ x: 0.22 + 0.56 * t, y: 0.62 - 0.24 * Math.sin(Math.PI * t) });

/** When frame i of `frames` is, 0…1. */
const timeOf = (i: number, frames: number): number => (frames === 1 ? 0 : i / (frames - 1));

/** The frame's masks `[64, 64]`: a disc with an edge of one pixel, and what it leaves. */
function masksAt(t: number, radius = 0.21): { inside: HostTensor; outside: HostTensor } {
  const centre = path(t);
  const inside = Float32Array.from({ length: GRID * GRID }, (_, i) => {
    const distance = Math.hypot(((i % GRID) + 0.5) / GRID - centre.x, (Math.floor(i / GRID) + 0.5) / GRID - centre.y);
    return Math.min(1, Math.max(0, (radius - distance) * GRID + 0.5));
  });
  return { inside: float32(inside, [GRID, GRID]), outside: float32(inside.map((v) => 1 - v), [GRID, GRID]) };
}

/** How a frame is made from the one before. */
type Way = 'frame before, same noise' | 'same noise' | 'noise of its own';

async function film(ediffi: Cascade, way: Way, frames: number, steps: number, strength: number): Promise<GeneratedImage[]> {
  const made: GeneratedImage[] = [];
  for (let i = 0; i < frames; i++) {
    const { inside, outside } = masksAt(timeOf(i, frames));
    const before = made.at(-1);
    const options: GenerateOptions = {
      seed: way === 'noise of its own' ? 100 + i : 7,
      steps,
      upscale: 'sr1', // 128 × 128: films are looked at small
      paint: { regions: [{ phrase: OBJECT, mask: inside }, { phrase: REST, mask: outside }] },
      ...(before && way === 'frame before, same noise' && { image: before, strength }),
    };
    made.push(await ediffi.generate(PROMPT, options));
  }
  return made;
}

/** Mean change from frame to frame, of 255, where neither frame has the object; and how far the centre of red lies from the region's centre, of the width. */
function measured(frames: readonly GeneratedImage[]): { change: number; miss: number } {
  let [changes, counted, miss] = [0, 0, 0];
  const around = frames.map((_, i) => masksAt(timeOf(i, frames.length), 0.3).inside); // the object with a margin
  frames.forEach(({ width, height, data }, i) => {
    const before = frames[i - 1];
    let [red, x, y] = [0, 0, 0];
    for (let p = 0; p < width * height; p++) {
      const [column, row] = [p % width, Math.floor(p / width)];
      const cell = Math.floor((row * GRID) / height) * GRID + Math.floor((column * GRID) / width);
      const excess = Math.max(0, data[3 * p]! - Math.max(data[3 * p + 1]!, data[3 * p + 2]!) - 20);
      [red, x, y] = [red + excess, x + excess * (column + 0.5), y + excess * (row + 0.5)];
      if (!before || around[i]!.data[cell]! > 0 || around[i - 1]!.data[cell]! > 0) continue;
      for (let c = 0; c < 3; c++) changes += Math.abs(data[3 * p + c]! - before.data[3 * p + c]!) / 3;
      counted++;
    }
    const wanted = path(timeOf(i, frames.length));
    miss += red === 0 ? 1 : Math.hypot(x / red / width - wanted.x, y / red / height - wanted.y);
  });
  return { change: changes / Math.max(1, counted), miss: miss / frames.length };
}

/** The frames forth and back as a GIF. */
function gif(frames: readonly GeneratedImage[]): Uint8Array {
  const encoder = GIFEncoder();
  for (const frame of [...frames, ...frames.slice(1, -1).reverse()]) {
    const rgba = new Uint8Array(rgbaOf(frame, 'frame').data);
    const palette = quantize(rgba, 128);
    encoder.writeFrame(applyPalette(rgba, palette), frame.width, frame.height, { palette, delay: 80 });
  }
  encoder.finish();
  return encoder.bytes();
}

/** Films the path in three ways; answers with the table and the GIF's path. */
export async function main(folder = 'out', frames = 24, steps = 16, strength = 0.85): Promise<{ file: string; table: Record<Way, { change: number; miss: number }> }> {
  const ediffi = await loadEdiffi();
  try {
    await mkdir(folder, { recursive: true });
    const file = join(folder, 'video-masks.gif');
    const table = {} as Record<Way, { change: number; miss: number }>;
    for (const way of ['frame before, same noise', 'same noise', 'noise of its own'] as const) {
      const made = await film(ediffi, way, frames, steps, strength);
      table[way] = measured(made);
      if (way === 'frame before, same noise') await writeFile(file, gif(made));
      console.log(`${way.padEnd(26)} change outside the region ${table[way].change.toFixed(1)}/255, object off its region's centre by ${(100 * table[way].miss).toFixed(1)} % of the width`);
    }
    return { file, table };
  } finally {
    await ediffi.dispose();
  }
}
