#!/usr/bin/env node
import { run } from './cli/run.js';

const controller = new AbortController();
process.once('SIGINT', () => controller.abort(new Error('interrupted'))); // a second Ctrl-C ends the process at once
process.exitCode = await run(process.argv.slice(2), { out: process.stdout, err: process.stderr, env: process.env, signal: controller.signal });
