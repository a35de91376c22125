// Peak resident memory of this process (Linux), and running a benchmark's case in a process of its own.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Bytes by the kernel's own count: `peak` since the start, `now`. */
export function memory() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const bytes = (key) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)[1]) * 1024;
  return { peak: bytes('VmHWM'), now: bytes('VmRSS') };
}

/** The JSON that `file` prints as its last line when it is run with these arguments. */
export function child(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${args.join(' ')}: exit code ${status}\n${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}
