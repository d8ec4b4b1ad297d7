import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { register } from '../../../src/config/registry.js';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { enclosingKb, locateKb } from '../../../src/kb/locate.js';

let root: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'kb-locate-')));
  env = { HOME: join(root, 'home') };
  for (const folder of ['home', 'kb/.git', 'kb/deep/er', 'other/.git', 'none'])
    mkdirSync(join(root, folder), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

function locate(cwd: string, over: { chosen?: string; fallback?: string } = {}): Promise<string> {
  const { chosen, fallback } = over;
  return locateKb({
    disk: nodeDisk,
    env,
    cwd: join(root, cwd),
    fallback: () => Promise.resolve(fallback),
    ...(chosen === undefined ? {} : { chosen }),
  });
}

describe('locateKb', () => {
  it.each([
    ['its root', 'kb'],
    ['a folder below', 'kb/deep/er'],
    ['.git itself', 'kb/.git'],
  ])('finds the KB from %s', async (_where, cwd) => {
    expect(await locate(cwd)).toBe(join(root, 'kb'));
  });

  it.each(['other', './../other', '../other/'])('takes the directory that was chosen: %s', async (chosen) => {
    const cwd = chosen.startsWith('.') ? 'kb' : '';
    expect(await locate(cwd, { chosen })).toBe(join(root, 'other'));
  });

  it('takes an absolute path, and a folder inside', async () => {
    expect(await locate('none', { chosen: join(root, 'kb/deep') })).toBe(join(root, 'kb'));
  });

  it('takes a registered name before a folder of that name', async () => {
    register(nodeDisk, env, { name: 'other', directory: join(root, 'kb') });
    expect(await locate('', { chosen: 'other' })).toBe(join(root, 'kb'));
    expect(await locate('', { chosen: './other' })).toBe(join(root, 'other'));
  });

  it('takes the default only where nothing is nearer', async () => {
    expect(await locate('none', { fallback: join(root, 'other') })).toBe(join(root, 'other'));
    expect(await locate('kb', { fallback: join(root, 'other') })).toBe(join(root, 'kb'));
  });

  it('takes an empty choice for none', async () => {
    expect(await locate('kb', { chosen: '' })).toBe(join(root, 'kb'));
  });

  it.each([
    ['nothing', {}, /no KB in .*none or above it/],
    ['a choice that is no KB', { chosen: '/dev' }, /no KB at \/dev/],
    ['a default that is no KB', { fallback: '/dev' }, /no KB at \/dev/],
  ])('says so when there is %s', async (_what, over, message) => {
    await expect(locate('none', over)).rejects.toMatchObject({
      code: 'E_NO_KB',
      message: expect.stringMatching(message) as string,
    });
  });

  it('tells how to get a registered KB back whose folder is gone', async () => {
    register(nodeDisk, env, { name: 'mine', directory: join(root, 'gone') });
    await expect(locate('kb', { chosen: 'mine' })).rejects.toMatchObject({
      hint: expect.stringContaining('kb clone URL') as string,
    });
  });
});

describe('enclosingKb', () => {
  it('counts a .git file too: it is for the caller to refuse', () => {
    writeFileSync(join(root, 'none/.git'), 'gitdir: elsewhere');
    expect(enclosingKb(nodeDisk, join(root, 'none'))).toBe(join(root, 'none'));
  });

  it('goes past a folder that may not be searched', () => {
    const lstatSync = ((path: string) => {
      if (path === join(root, 'kb/deep/.git')) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
      return nodeDisk.lstatSync(path);
    }) as Disk['lstatSync'];
    expect(enclosingKb({ ...nodeDisk, lstatSync }, join(root, 'kb/deep'))).toBe(join(root, 'kb'));
  });

  it('does not hide an I/O error as "no KB"', () => {
    const lstatSync = (() => {
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    }) as Disk['lstatSync'];
    expect(() => enclosingKb({ ...nodeDisk, lstatSync }, root)).toThrow('EIO');
  });
});
