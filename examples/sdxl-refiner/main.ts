// SDXL's base and refiner as two experts of one loop: the refiner takes over where 80 % of the schedule is done, the solver keeps its memory,
// and one network at a time is in memory. Exported with `optimum-cli export onnx --model stabilityai/stable-diffusion-xl-base-1.0 sdxl-onnx`
// (and the refiner likewise).
import { Pipeline, type FilesSource } from 'ediffi';

/** Paints; prints the plan before it runs and each step's expert. Answers with the PNG and the experts in order. */
export async function main(base: FilesSource = './sdxl-onnx', refiner: FilesSource = './sdxl-refiner-onnx', prompt = 'a lighthouse on a cliff, oil painting', options: { steps?: number; width?: number; height?: number } = {}): Promise<{ png: Uint8Array; experts: string[] }> {
  const pipeline = await Pipeline.open(base, { refiner, cut: 0.8, resident: 1 });
  try {
    const settings = { seed: 7, steps: 30, guidance: 5, negative: 'blurry', ...options };
    for (const { stage, experts } of await pipeline.plan(prompt, settings)) console.log(stage, experts.map(({ name, calls }) => `${name}: ${calls} steps`).join(', '));
    const experts: string[] = [];
    const painting = pipeline.stream(prompt, settings);
    for await (const { index, count, expert, sigma } of painting) {
      if (experts.at(-1) !== expert) experts.push(expert);
      console.log(`${index + 1}/${count} ${expert} σ ${sigma.toFixed(2)}`);
    }
    return { png: (await painting.finish()).toPng(), experts };
  } finally {
    await pipeline.dispose();
  }
}
