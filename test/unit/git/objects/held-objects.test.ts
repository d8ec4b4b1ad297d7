import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { hashObject, type GitObject } from '../../../../src/git/objects/object.js';
import { writePack } from '../../../../src/git/objects/pack-writer.js';
import { StagedObjects } from '../../../../src/git/objects/staged.js';
import { ObjectStore } from '../../../../src/git/objects/store.js';
import type { Oid } from '../../../../src/git/ids.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';

function makeStore(): { store: ObjectStore; order: string[]; onDisk: () => string[] } {
  const gitDir = makeTemporaryDirectory();
  mkdirSync(join(gitDir, 'objects'));
  const order: string[] = [];
  const disk: Disk = {
    ...nodeDisk,
    renameSync: (from, to): void => {
      order.push(String(to).split('/').slice(-2).join(''));
      nodeDisk.renameSync(from, to);
    },
  };
  const onDisk = (): string[] =>
    readdirSync(join(gitDir, 'objects'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
  return { store: ObjectStore.open(disk, gitDir), order, onDisk };
}

const blob = (text: string): { readonly oid: Oid } & GitObject => {
  const data = Buffer.from(text);
  return { oid: hashObject('blob', data), type: 'blob', data };
};

/** A pack of blobs, received by a store. */
function receive(store: ObjectStore, texts: readonly string[], storesLate: boolean): Oid[] {
  const blobs = new Map(texts.map((text) => [blob(text).oid, blob(text)]));
  const find = (oid: Oid): GitObject | undefined => blobs.get(oid);
  const source = { find, read: (oid: Oid) => find(oid) as GitObject, has: (oid: Oid) => blobs.has(oid) };
  const receiver = store.receivePack({ storesLate });
  for (const piece of writePack(source, [...blobs.keys()])) receiver.write(piece);
  receiver.finish();
  return [...blobs.keys()];
}

it('is found and read at once, and on disk only when it is stored', () => {
  const { store, onDisk } = makeStore();
  const [oid] = receive(store, ['held'], true) as [Oid];
  expect([store.has(oid), store.hasWithoutRescan(oid), store.read(oid).data.toString()]).toEqual([true, true, 'held']);
  expect(store.header(oid)).toEqual({ type: 'blob', size: 4 });
  expect(store.readBlob(oid).toString()).toBe('held');
  expect(store.heldBytes).toBe(4);
  expect(onDisk()).toEqual([]);
  store.storeHeld();
  expect(store.heldBytes).toBe(0);
  expect(onDisk()).toEqual([oid.slice(2)]);
  expect(store.read(oid).data.toString()).toBe('held');
});

it('is stored before what is stored upon it', () => {
  const { store, order } = makeStore();
  const [oid] = receive(store, ['parent'], true) as [Oid];
  const staged = new StagedObjects(store);
  const child = staged.add('blob', Buffer.from('child'));
  staged.persist();
  expect(order).toEqual([oid, child]);
});

it('is stored before a pack that comes after it can be seen', () => {
  const { store, order } = makeStore();
  const [oid] = receive(store, ['parent'], true) as [Oid];
  receive(
    store,
    Array.from({ length: 120 }, (_, number) => `child ${number}`),
    true,
  );
  expect(order[0]).toBe(oid);
  expect(order[1]).toMatch(/\.pack$/);
});

it('does not hold more than a mebibyte, however small the pack is that it comes in', () => {
  const { store, onDisk } = makeStore();
  receive(store, ['x'.repeat(1024 * 1024), 'y'.repeat(1024 * 1024), 'z'], true);
  expect(store.heldBytes).toBeLessThanOrEqual(1024 * 1024);
  expect(onDisk().length).toBeGreaterThanOrEqual(1);
});

it('is stored at once where nobody asked to wait', () => {
  const { store, onDisk } = makeStore();
  receive(store, ['a', 'b'], false);
  expect(onDisk()).toHaveLength(2);
});
