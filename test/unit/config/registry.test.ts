import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configDirectory, registryFile } from '../../../src/config/locations.js';
import { findRegistered, listRegistered, register, requireFreeName } from '../../../src/config/registry.js';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { isKbError, type ErrorCode } from '../../../src/errors.js';

let root: string;
let env: { HOME: string };
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kb-registry-'));
  env = { HOME: root };
  for (const name of ['one', 'two']) mkdirSync(join(root, name));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const withCode = (code: ErrorCode): unknown => expect.toSatisfy((error: unknown) => isKbError(error, code));
const add = (name: string, directory: string) => register(nodeDisk, env, { name, directory: join(root, directory) });

describe('registry', () => {
  it('is empty where there is no file', () => {
    expect(listRegistered(nodeDisk, env)).toEqual([]);
    expect(findRegistered(nodeDisk, env, 'a')).toBeUndefined();
  });

  it('keeps names sorted, the same again changes nothing, and no temporary file stays', () => {
    add('work', 'one');
    add('Küche', 'two');
    const before = readFileSync(registryFile(env), 'utf8');
    add('work', 'one');
    expect(readFileSync(registryFile(env), 'utf8')).toBe(before);
    expect(listRegistered(nodeDisk, env).map((kb) => kb.name)).toEqual(['Küche', 'work']);
    expect(findRegistered(nodeDisk, env, 'work')).toEqual({ name: 'work', directory: join(root, 'one') });
    expect(readdirSync(dirname(registryFile(env)))).toEqual(['registry.json']);
  });

  it('gives a name away only when its directory is gone', () => {
    add('work', 'one');
    expect(() => add('work', 'two')).toThrow(withCode('E_USAGE'));
    expect(() => requireFreeName(nodeDisk, env, 'work', join(root, 'two'))).toThrow(/is taken by/);
    requireFreeName(nodeDisk, env, 'work', join(root, 'one'));
    rmSync(join(root, 'one'), { recursive: true });
    add('work', 'two');
    expect(findRegistered(nodeDisk, env, 'work')?.directory).toBe(join(root, 'two'));
    expect(readdirSync(dirname(registryFile(env)))).toEqual(['registry.json']);
  });

  it.each(['', '.', '..', '-x', 'a/b', 'a\\b', 'a b', '~', 'x'.repeat(65), 'a\n'])('refuses the name %j', (name) => {
    expect(() => add(name, 'one')).toThrow(withCode('E_USAGE'));
    expect(() => requireFreeName(nodeDisk, env, name, root)).toThrow(withCode('E_USAGE'));
  });

  it.each([
    '',
    '{',
    '[]',
    'null',
    '{"version":2,"kbs":[]}',
    '{"version":1,"kbs":[{"name":"a"}]}',
    '{"version":1,"kbs":[{"name":"a","directory":"relative"}]}',
    ' '.repeat(1024 * 1024 + 1),
  ])('refuses a damaged file (%#) and does not overwrite it', (content) => {
    mkdirSync(configDirectory(env), { recursive: true });
    writeFileSync(registryFile(env), content);
    expect(() => listRegistered(nodeDisk, env)).toThrow(withCode('E_USAGE'));
    expect(() => add('a', 'one')).toThrow(withCode('E_USAGE'));
    expect(readFileSync(registryFile(env), 'utf8')).toBe(content);
  });

  it("waits for another kb's lock while that changes, then names it and leaves it", () => {
    mkdirSync(configDirectory(env), { recursive: true });
    const lock = `${registryFile(env)}.lock`;
    writeFileSync(lock, '');
    let looks = 0;
    const openSync: Disk['openSync'] = (path, ...rest) => {
      if (path === lock) utimesSync(lock, (looks += 1), looks); // one after the other has it
      return nodeDisk.openSync(path, ...rest);
    };
    const busy: Disk = { ...nodeDisk, openSync };
    expect(() => register(busy, env, { name: 'a', directory: root })).toThrow(withCode('E_UNSAFE_STATE'));
    expect(looks).toBeGreaterThan(2);
    expect(readdirSync(configDirectory(env))).toEqual(['registry.json.lock']);
  });

  it('takes over the lock of a process that was killed', () => {
    mkdirSync(configDirectory(env), { recursive: true });
    writeFileSync(`${registryFile(env)}.lock`, '');
    add('a', 'one');
    expect(readdirSync(configDirectory(env))).toEqual(['registry.json']);
  });

  it('begins anew when its lock was taken away while it was stopped', () => {
    const lock = `${registryFile(env)}.lock`;
    const fsyncSync: Disk['fsyncSync'] = (descriptor) => {
      disk.fsyncSync = nodeDisk.fsyncSync; // once
      nodeDisk.fsyncSync(descriptor);
      rmSync(lock);
      add('theirs', 'two');
    };
    const disk: { -readonly [Key in keyof Disk]: Disk[Key] } = { ...nodeDisk, fsyncSync };
    register(disk, env, { name: 'mine', directory: join(root, 'one') });
    expect(listRegistered(nodeDisk, env).map(({ name }) => name)).toEqual(['mine', 'theirs']);
  });

  it('ignores a relative XDG_CONFIG_HOME', () => {
    expect(configDirectory({ HOME: '/h', XDG_CONFIG_HOME: 'rel' })).toBe('/h/.config/kb');
    expect(configDirectory({ HOME: '/h', XDG_CONFIG_HOME: '/x' })).toBe('/x/kb');
  });
});
