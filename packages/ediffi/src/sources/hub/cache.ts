/* The hub's own cache layout, shared with its Python and JavaScript libraries: models--org--name/{blobs,refs,snapshots}. */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** The places of one repository in the cache. */
export class RepoCache {
  readonly root: string;

  constructor(cache: string, repo: string) {
    this.root = join(cache, ['models', ...repo.split('/')].join('--'));
  }

  blob(id: string): string {
    return join(this.root, 'blobs', id);
  }

  snapshot(commit: string): string {
    return join(this.root, 'snapshots', commit);
  }

  pointer(commit: string, path: string): string {
    return join(this.snapshot(commit), ...path.split('/'));
  }

  /** The commit that a branch or tag was at when it was last asked for. */
  async commit(revision: string): Promise<string | undefined> {
    return (await readFile(this.#ref(revision), 'utf8').catch(() => undefined))?.trim();
  }

  async remember(revision: string, commit: string): Promise<void> {
    if ((await this.commit(revision)) === commit) return;
    const ref = this.#ref(revision);
    await mkdir(dirname(ref), { recursive: true });
    await settle(ref, (temporary) => writeFile(temporary, commit));
  }

  /** Puts a blob's name into the snapshot: a link, or a copy where links are not allowed (Windows). */
  async link(commit: string, path: string, id: string): Promise<string> {
    const [pointer, blob] = [this.pointer(commit, path), this.blob(id)];
    await mkdir(dirname(pointer), { recursive: true });
    await settle(pointer, async (temporary) => {
      await symlink(relative(dirname(pointer), blob), temporary).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPERM' && error.code !== 'ENOTSUP') throw error;
        return copyFile(blob, temporary);
      });
    });
    return pointer;
  }

  #ref(revision: string): string {
    return join(this.root, 'refs', ...revision.split('/'));
  }
}

/** Makes a file under a name of its own and renames it, so that nobody ever sees half of it. */
async function settle(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Size of a file, undefined where there is none. */
export const sizeOf = async (path: string): Promise<number | undefined> => (await stat(path).catch(() => undefined))?.size;

/** Makes a rename outlive a power cut; not every system lets a folder be synced. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
