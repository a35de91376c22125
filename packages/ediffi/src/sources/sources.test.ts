import { ModelError, OptionError } from '@ediffi/core';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { filesOf, folderFiles, memoryFiles, type ModelFiles } from './index.js';

const root = mkdtempSync(join(tmpdir(), 'ediffi-files-'));
const folder = join(root, 'model');
mkdirSync(join(folder, 'unet'), { recursive: true });
writeFileSync(join(root, 'secret'), 'not yours');
writeFileSync(join(folder, 'model_index.json'), '{}');
writeFileSync(join(folder, 'unet/model.onnx'), 'graph');
symlinkSync('../../secret', join(folder, 'unet/linked'));
symlinkSync('nowhere', join(folder, 'unet/broken'));
afterAll(() => rmSync(root, { recursive: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const kinds: [string, () => Promise<ModelFiles>][] = [
  ['a folder', () => folderFiles(folder)],
  ['memory', async () => memoryFiles({ 'model_index.json': bytes('{}'), 'unet/model.onnx': bytes('graph'), 'unet/linked': bytes('not yours') })],
];

describe.each(kinds)('files of %s', (_, open) => {
  it('are listed, found and read', async () => {
    const files = await open();
    expect(await files.list()).toEqual(['model_index.json', 'unet/linked', 'unet/model.onnx']);
    expect([await files.has('unet/model.onnx'), await files.has('unet'), await files.has('vae/model.onnx')]).toEqual([true, false, false]);
    expect(new TextDecoder().decode(await files.read('unet/model.onnx'))).toBe('graph');
    if (files.path) expect(await files.path('unet/model.onnx')).toBe(join(folder, 'unet/model.onnx'));
  });

  it('that are missing are named, with what is there', async () => {
    const files = await open();
    await expect(files.read('unet/model.onnx_data')).rejects.toThrow(/unet\/model.onnx_data: not in .* — unet\/ has unet\/linked, unet\/model.onnx$/);
    await expect(files.read('vae/model.onnx')).rejects.toThrow(/there is no folder vae\//);
    await expect(files.read('nothing')).rejects.toThrow(ModelError);
  });
});

describe('paths', () => {
  it('never leave the model', async () => {
    const files = await folderFiles(folder);
    for (const path of ['../secret', 'unet/../../secret', join(root, 'secret'), 'unet\\model.onnx', '', 'C:/x', 'a//b']) await expect(files.read(path), path).rejects.toThrow(/no path inside a model/);
    expect(() => memoryFiles({ '../x': bytes('') })).toThrow(ModelError);
  });

  it('of folders that are none are refused', async () => {
    await expect(folderFiles(join(root, 'none'))).rejects.toThrow(/no such folder — give the folder that holds model_index.json/);
    await expect(folderFiles(join(root, 'secret'))).rejects.toThrow(/a file, not a folder/);
  });
});

describe('a source', () => {
  it('is a folder, its URL, bytes, or files that are open', async () => {
    const given = memoryFiles({ a: bytes('') });
    expect(await filesOf(given)).toBe(given);
    expect((await filesOf({ a: bytes('1') })).location).toBe('the given files');
    for (const source of [folder, pathToFileURL(folder), relative(process.cwd(), folder)]) expect((await filesOf(source)).location).toBe(folder);
  });

  it('is a hub id where there is no such folder, unless it is written as a path', async () => {
    const cache = { offline: true, cache: root };
    await expect(filesOf('org/name', cache)).rejects.toThrow(/org\/name@main \(offline\): not in the cache/);
    for (const path of ['./org/name', '/org/name', '../org/name', '~/org/name']) await expect(filesOf(path, cache)).rejects.toThrow(/no such folder/);
    for (const none of ['', 'a/b/c', undefined as unknown as string]) await expect(filesOf(none, cache)).rejects.toThrow(OptionError);
  });
});
