import type { Abort } from '@ediffi/core';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** How far one file has come; `bytes` counts what an earlier attempt left on disk. */
export interface Download {
  readonly file: string;
  readonly bytes: number;
  readonly total: number;
}

/** Options of hubFiles. */
export interface HubOptions {
  /** Branch, tag or commit. Default 'main'. */
  readonly revision?: string;
  /** Use only what is on disk. Default: true where HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set. */
  readonly offline?: boolean;
  /** For private and gated repositories. Default: HF_TOKEN. Never part of a message. */
  readonly token?: string;
  /** Folder of the cache that the hub's own libraries share. Default: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
  readonly cache?: string;
  /** Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string;
  /** How often a connection that breaks is taken up again where it broke. Default 3. */
  readonly retries?: number;
  /** Told at most every 256 KiB of every download. */
  readonly progress?: (download: Download) => void;
  readonly signal?: Abort;
}

const truthy = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '');

/** Whether only the disk may be used. */
export const isOffline = (options: HubOptions): boolean => options.offline ?? (truthy(process.env['HF_HUB_OFFLINE']) || truthy(process.env['TRANSFORMERS_OFFLINE']));

/** Where the hub's libraries keep their files, by the variables they read. */
export function hubCache(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const home = env['HF_HOME'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'huggingface');
  return env['HF_HUB_CACHE'] ?? env['HUGGINGFACE_HUB_CACHE'] ?? join(home, 'hub');
}
