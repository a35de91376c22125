import { OptionError } from '@ediffi/core';

/** `org/name` and `org/name@revision`, split; throws OptionError for what is neither. */
export function parseRepo(source: string, revision: string | undefined): { readonly repo: string; readonly revision: string } {
  const [, repo, tagged] = /^([\w.-]+(?:\/[\w.-]+)?)(?:@(.+))?$/.exec(source) ?? [];
  if (!repo || /(^|\/)\.+($|\/)|--|\.\./.test(repo)) throw new OptionError('source', source, 'a hub id such as stabilityai/sdxl-turbo, with @revision if need be');
  if (tagged !== undefined && revision !== undefined && tagged !== revision) throw new OptionError('revision', revision, `the one in the id (${tagged}), or none`);
  const chosen = tagged ?? revision ?? 'main';
  if (!/^[\w.][\w./-]*$/.test(chosen) || chosen.split('/').includes('..')) throw new OptionError('revision', chosen, 'a branch, tag or commit');
  return { repo, revision: chosen };
}
