import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { StagedObjects, type StagingOptions } from '../../../../src/git/objects/staged.js';
import { ObjectStore } from '../../../../src/git/objects/store.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';

function staging(options: StagingOptions = {}): { staged: StagedObjects; store: ObjectStore; onDisk: () => string[] } {
  const gitDir = makeTemporaryDirectory();
  mkdirSync(join(gitDir, 'objects'));
  const store = ObjectStore.open(nodeDisk, gitDir);
  const onDisk = (): string[] =>
    readdirSync(join(gitDir, 'objects'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
  return { staged: new StagedObjects(store, options), store, onDisk };
}

it('is readable at once and on disk only after persist', () => {
  const { staged, store, onDisk } = staging();
  const oid = staged.add('blob', Buffer.from('x'));
  expect([staged.has(oid), store.has(oid), staged.read(oid).data.toString(), staged.find(oid)?.type]).toEqual([
    true,
    false,
    'x',
    'blob',
  ]);
  expect(onDisk()).toEqual([]);
  staged.persist();
  expect(store.read(oid).data.toString()).toBe('x');
  expect(staged.read(oid).data.toString()).toBe('x');
  expect(staged.added()).toEqual([oid]);
  staged.persist();
  expect(onDisk()).toHaveLength(1);
});

it('does not add what is there already', () => {
  const { staged, store } = staging();
  store.writeLoose('blob', Buffer.from('old'));
  staged.add('blob', Buffer.from('old'));
  const fresh = staged.add('blob', Buffer.from('new'));
  staged.add('blob', Buffer.from('new'));
  expect(staged.added()).toEqual([fresh]);
});

it('writes a big blob at once', () => {
  const { staged, store, onDisk } = staging({ spillBytes: 10 });
  const small = staged.add('blob', Buffer.from('0123456789'));
  expect(onDisk()).toEqual([]);
  const big = staged.add('blob', Buffer.from('0123456789a'));
  expect(store.has(big)).toBe(true);
  expect(staged.added()).toEqual([small, big]);
});

it('does not gather without bound', () => {
  const { staged, store } = staging({ maxHeldBytes: 100 });
  const oids = Array.from({ length: 11 }, (_, index) => staged.add('blob', Buffer.from(`${index}`.padStart(10))));
  expect(oids.map((oid) => store.has(oid))).toEqual(oids.map(() => true));
  expect(staged.added()).toEqual(oids);
});

it('makes one pack of many', () => {
  const { staged, store, onDisk } = staging();
  const oids = Array.from({ length: 32 }, (_, index) => staged.add('blob', Buffer.from(`${index}`)));
  staged.persist();
  expect(
    onDisk()
      .map((name) => name.replace(/^pack-[0-9a-f]{40}/, 'pack'))
      .sort(),
  ).toEqual(['pack.idx', 'pack.pack']);
  for (const oid of oids) expect(store.has(oid)).toBe(true);
});
