// One step on a [1, 4, 64, 64] latent: ours against diffusers' Python `step` (with its scale_model_input), interleaved in one run.
//
//   PYTHON=venv/bin/python node benchmarks/step.mjs [--rounds 9] [--save]        (the Python has torch and diffusers)
//
//   step      everything around the network call: scaling its input, reading ε as D, the solver's update, as fromDiffusers runs it
//   solver    the native solver alone on a ready denoiser: what a loop of one's own pays
//   diffusers scheduler.scale_model_input and scheduler.step
//
// Microseconds per step; the ratio is the median over rounds of diffusers/ours within a round. Bytes: array buffers allocated per step.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { randn } from '@ediffi/core';
import { dpmMultistep, euler, fromDiffusers, unipc } from '@ediffi/sampler';
import { stamp } from './stamp.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, save: { type: 'boolean', default: false } } });
const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' };
const classes = { EulerDiscreteScheduler: euler, DPMSolverMultistepScheduler: dpmMultistep, UniPCMultistepScheduler: unipc };
const configs = Object.fromEntries(Object.keys(classes).map((name) => [name, { _class_name: name, ...sd }]));
const [STEPS, REPEATS] = [25, 40];

const latents = randn([1, 4, 64, 64], 0);
const answers = Array.from({ length: 8 }, (_, i) => randn([1, 4, 64, 64], 1 + i));
const ready = (i) => Object.assign(Object.create(Object.getPrototypeOf(answers[i % 8])), answers[i % 8]); // a fresh handle: solvers may dispose it

async function run(steps) {
  for (;;) if ((await steps.next()).done) return;
}

/** Seconds per step of `make()`: a generator over STEPS steps. */
async function timed(make) {
  let spent = 0;
  for (let r = 0; r < REPEATS; r++) {
    const steps = make();
    const start = performance.now();
    await run(steps);
    spent += performance.now() - start;
  }
  return spent / 1e3 / REPEATS / STEPS;
}

const ours = (name) => {
  const recipe = fromDiffusers(configs[name], { steps: STEPS });
  const { sigmas } = recipe;
  return {
    step: () => {
      let i = 0;
      const denoiser = recipe.denoiser(async () => ready(i++));
      return recipe.run(Object.assign((x, sigma) => denoiser.denoise(x, sigma, null), { alpha: recipe.alpha }), latents);
    },
    solver: () => {
      let i = 0;
      return classes[name](Object.assign(async () => ready(i++), { alpha: recipe.alpha }), latents, sigmas);
    },
  };
};

/** Bytes of Float32Array that one step allocates, by the solver alone. */
async function bytes(make) {
  const own = Float32Array;
  let sum = 0;
  globalThis.Float32Array = new Proxy(own, {
    construct(target, args) {
      const made = new target(...args);
      if (typeof args[0] === 'number') sum += made.byteLength;
      return made;
    },
  });
  await run(make());
  globalThis.Float32Array = own;
  return sum / STEPS;
}

const python = process.env.PYTHON;
const child = python && spawn(python, [new URL('step.py', import.meta.url).pathname, JSON.stringify(configs)], { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = child && createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const versions = lines && JSON.parse((await lines.next()).value);
if (!python) console.log('PYTHON is not set: only our own times (give a Python with torch and diffusers for the comparison)');

const result = { ...stamp(), ...(versions && { python: versions }), steps: STEPS, rounds: Number(values.rounds), classes: {} };
for (const name of Object.keys(classes)) {
  const { step, solver } = ours(name);
  const rows = { step: [], solver: [], diffusers: [] };
  await timed(step); // warm-up
  await timed(solver);
  for (let r = 0; r < Number(values.rounds); r++) {
    rows.step.push(await timed(step));
    if (child) {
      child.stdin.write(`${name} ${STEPS} ${REPEATS}\n`);
      rows.diffusers.push(Number((await lines.next()).value));
    }
    rows.solver.push(await timed(solver));
  }
  const micro = (list) => (list.length ? Number((median(list) * 1e6).toFixed(1)) : undefined);
  const ratio = (list) => (rows.diffusers.length ? Number(median(list.map((v, i) => rows.diffusers[i] / v)).toFixed(1)) : undefined);
  const own = { step: micro(rows.step), solver: micro(rows.solver), diffusers: micro(rows.diffusers), diffusersPerStep: ratio(rows.step), diffusersPerSolver: ratio(rows.solver), solverBytes: await bytes(solver), resultBytes: latents.data.byteLength };
  result.classes[name] = own;
  console.log(`${name.padEnd(32)} step ${own.step} µs  solver ${own.solver} µs  diffusers ${own.diffusers ?? '—'} µs  diffusers/step ${own.diffusersPerStep ?? '—'}  diffusers/solver ${own.diffusersPerSolver ?? '—'}  bytes/step ${own.solverBytes} of ${own.resultBytes}`);
}
child?.stdin.end();
if (values.save) writeFileSync(new URL('results/step.json', import.meta.url), `${JSON.stringify(result)}\n`);
