// Error against network calls on the analytic mixture, for every solver: benchmarks/results/solvers.json, docs/guide/solvers.svg, and the
// name tables in docs/guide/solvers.md. Run: node benchmarks/solvers.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { sources } from './solvers-sources.mjs';
import { stamp } from './stamp.mjs';

const e = await sources();
const path = (name) => new URL(name, import.meta.url);
const components = [{ weight: 0.5, mean: -1, std: 0.15 }, { weight: 0.3, mean: 0.2, std: 0.1 }, { weight: 0.2, mean: 1.2, std: 0.25 }];
const model = e.mixture(components);
const [sigmaMin, sigmaMax] = [0.02, 20];
const N = 4096;
const start = e.randn([1, N], 3).data.map((v) => v * sigmaMax);
const exact = Array.from(start, (x) => model.solve(x, sigmaMax, sigmaMin, 600)); // where the ODE is at sigmaMin

const bind = (solver, options) => (d, x, s, more) => solver(d, x, s, { ...options, ...more });
const ode = {
  euler: [e.euler, 1], heun: [e.heun, 2], dpm2: [e.dpm2, 2], 'lms (4)': [e.lms, 1], 'dpm fast': [e.dpmFast, 1], 'dpm adaptive': [e.dpmAdaptive, 'tolerance'], 'dpm++ 2M': [e.dpmpp2m, 1],
  'dpm++ 3M': [bind(e.dpmMultistep, { order: 3 }), 1], 'dpm singlestep 3': [bind(e.dpmSinglestep, { order: 3 }), 1], 'dpm++ 2S': [bind(e.dpmpp2sAncestral, { eta: 0 }), 2], 'unipc 2': [e.unipc, 1], 'unipc 3': [bind(e.unipc, { order: 3 }), 1],
  'deis 3': [e.deis, 1], 'deis ρ-RK kutta3': [e.deisRk, 3], 'deis ρ-RK rk4': [bind(e.deisRk, { tableau: 'rk4' }), 4], ipndm: [e.ipndm, 1], plms: [bind(e.pndm, { skipPrk: true }), 1],
};
const sde = {
  'euler ancestral': [e.eulerAncestral, 1], ddpm: [e.ddpm, 1], 'dpm2 ancestral': [e.dpm2Ancestral, 2], 'dpm++ 2S ancestral': [e.dpmpp2sAncestral, 2], 'dpm++ SDE': [e.dpmppSde, 2], 'dpm++ 2M SDE': [e.dpmpp2mSde, 1], 'dpm++ 3M SDE': [e.dpmpp3mSde, 1],
  'sa-solver (3, 4)': [bind(e.saSolver, { predictorOrder: 3, correctorOrder: 4 }), 1], 'heun, churn 10': [bind(e.heun, { churn: 10 }), 2], 'restart (2 ×)': [(d, x, s, o) => e.restart(d, x, s, { intervals: [{ sigmaMin: 0.05, sigmaMax: 0.3, times: 2, steps: Math.max(2, Math.round(s.length / 2)) }], ...o }), 4],
};

async function run(solver, grid, options) {
  let calls = 0;
  const counted = Object.assign((x, s) => (calls++, model.denoise(x, s)), { alpha: model.denoise.alpha });
  const steps = solver(counted, e.float32(Float32Array.from(start), [1, N]), grid, options);
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return { calls, data: value.data };
  }
}
const rms = (data) => Math.sqrt(data.reduce((sum, v, i) => sum + (v - exact[i]) ** 2, 0) / N);
const cdf = (x) => components.reduce((p, { weight, mean, std }) => p + weight * 0.5 * (1 + erf((x - mean) / (std * Math.SQRT2))), 0);
function erf(z) { const t = 1 / (1 + Math.abs(z) / 2); const r = 1 - t * Math.exp(-z * z - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))); return z < 0 ? -r : r; }
function quantile(p) { let [a, b] = [-3, 4]; for (let i = 0; i < 60; i++) { const m = (a + b) / 2; if (cdf(m) < p) a = m; else b = m; } return a; }
const quantiles = Array.from({ length: N }, (_, i) => quantile((i + 0.5) / N));
const w1 = (data) => Float32Array.from(data).sort().reduce((sum, v, i) => sum + Math.abs(v - quantiles[i]), 0) / N;
const floor = w1(Float32Array.from(start, (x) => { const s = 0.002; return model.at(model.solve(x, sigmaMax, s, 600), s); })); // the same N starts, solved exactly: what N samples can show

const budgets = [6, 8, 12, 16, 24, 32, 48, 64, 96];
const measure = async (table, error, cut, noise) => {
  const out = {};
  for (const [name, [solver, cost]] of Object.entries(table)) {
    out[name] = [];
    for (const budget of budgets) {
      const steps = cost === 'tolerance' ? 20 : Math.max(2, Math.round(budget / cost));
      const options = { ...(noise && { noise: /churn|restart/.test(name) ? e.seededNoise(7) : noise() }), ...(cost === 'tolerance' && { rtol: 20 / budget ** 2, atol: 2 / budget ** 2 }) };
      const grid = e.karras(cut ? steps + 1 : steps, { sigmaMin, sigmaMax });
      const { calls, data } = await run(solver, cut ? grid.subarray(0, -1) : grid, options);
      if (out[name].at(-1)?.[0] !== calls) out[name].push([calls, Number(error(data).toPrecision(4))]);
    }
  }
  return out;
};
const results = { ode: await measure(ode, rms, true), sde: await measure(sde, w1, false, () => e.brownianNoise(7)), floor };
writeFileSync(path('results/solvers.json'), `${JSON.stringify({ ...stamp(), target: components, grid: 'karras, σ 20 … 0.02 (SDE: and 0)', samples: N, ...results })}\n`);

// The plot: two panels, log–log; every line named at its end.
const palette = ['#0b6e99', '#d9730d', '#2e7d32', '#ad1457', '#6a1b9a', '#5d4037', '#00838f', '#c62828', '#455a64', '#9e9d24', '#283593', '#ef6c00', '#00695c', '#880e4f', '#37474f', '#7cb342', '#4527a0'];
function panel(curves, x0, title, yName, low, high, mark) {
  const [w, h, top] = [330, 380, 50];
  const X = (v) => x0 + (Math.log(v / 5) / Math.log(110 / 5)) * w;
  const Y = (v) => top + h - (Math.log(Math.max(v, low) / low) / Math.log(high / low)) * h;
  const lines = [`<text x="${x0}" y="22" font-weight="600">${title}</text>`, `<text x="${x0}" y="38" fill="#666">${yName}</text>`, `<rect x="${x0}" y="${top}" width="${w}" height="${h}" fill="none" stroke="#bbb"/>`, `<clipPath id="panel${x0}"><rect x="${x0}" y="${top}" width="${w}" height="${h}"/></clipPath>`];
  for (const v of [6, 12, 24, 48, 96]) lines.push(`<path d="M${X(v).toFixed(1)} ${top}V${top + h}" stroke="#eee"/><text x="${X(v).toFixed(1)}" y="${top + h + 16}" text-anchor="middle">${v}</text>`);
  for (let d = Math.ceil(Math.log10(low)); d <= Math.log10(high); d++) lines.push(`<path d="M${x0} ${Y(10 ** d).toFixed(1)}H${x0 + w}" stroke="#eee"/><text x="${x0 - 6}" y="${(Y(10 ** d) + 4).toFixed(1)}" text-anchor="end">1e${d}</text>`);
  if (mark) lines.push(`<path d="M${x0} ${Y(mark).toFixed(1)}H${x0 + w}" stroke="#999" stroke-dasharray="4 3"/><text x="${x0 + 6}" y="${(Y(mark) + 14).toFixed(1)}" fill="#666">exact, ${N} samples</text>`);
  const ends = Object.entries(curves).map(([name, points], i) => ({ name, points, color: palette[i % palette.length], y: Y(points.at(-1)[1]) })).sort((a, b) => a.y - b.y);
  let last = -Infinity;
  for (const { name, points, color, y } of ends) {
    last = Math.max(y, last + 13);
    lines.push(`<path d="${points.map(([c, v], i) => `${i ? 'L' : 'M'}${X(c).toFixed(1)} ${Y(v).toFixed(1)}`).join('')}" fill="none" stroke="${color}" stroke-width="1.6" clip-path="url(#panel${x0})"/>`, `<path d="M${X(points.at(-1)[0]).toFixed(1)} ${y.toFixed(1)}L${x0 + w + 8} ${last.toFixed(1)}" stroke="${color}" stroke-width="0.5"/>`, `<text x="${x0 + w + 11}" y="${(last + 4).toFixed(1)}" fill="${color}">${name}</text>`);
  }
  lines.push(`<text x="${x0 + w / 2}" y="${top + h + 34}" text-anchor="middle">network calls</text>`);
  return lines.join('\n');
}
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1040 490" font-family="system-ui, sans-serif" font-size="11">\n<rect width="1040" height="490" fill="#fff"/>\n${panel(results.ode, 50, 'ODE solvers', 'RMS distance from the exact solution at σ = 0.02', 1e-6, 10)}\n${panel(results.sde, 570, 'SDE solvers', 'Wasserstein-1 distance from the target', 5e-3, 1, floor)}\n</svg>\n`;
writeFileSync(path('../docs/guide/solvers.svg'), svg);

const guide = readFileSync(path('../docs/guide/solvers.md'), 'utf8');
const [begin, end] = ['<!-- names: made by benchmarks/solvers.mjs -->', '<!-- /names -->'];
writeFileSync(path('../docs/guide/solvers.md'), `${guide.slice(0, guide.indexOf(begin) + begin.length)}\n\n${e.nameTables()}\n\n${guide.slice(guide.indexOf(end))}`);
for (const kind of ['ode', 'sde']) for (const [name, points] of Object.entries(results[kind])) console.log(name.padEnd(22), points.map(([c, v]) => `${c}: ${v.toExponential(1)}`).join('  '));
