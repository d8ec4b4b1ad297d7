import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { asOid, EMPTY_TREE, type Oid } from '../../../../src/git/ids.js';
import { cacheTreeOf, updateCacheTree } from '../../../../src/git/index/cache-tree.js';
import { GitIndex, IndexLock } from '../../../../src/git/index/index-file.js';
import { SplicedEntries } from '../../../../src/git/index/splice.js';
import { hashObject, type GitObject } from '../../../../src/git/objects/object.js';
import { serializeTree, type FileMode, type TreeEntry } from '../../../../src/git/objects/tree.js';
import { FreshCheckout } from '../../../../src/git/worktree/fresh-checkout.js';
import { SparseCone } from '../../../../src/git/worktree/sparse-cone.js';
import { Worktree, type WorktreeSettings } from '../../../../src/git/worktree/worktree.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';
import { LINUX } from './native-worktree.js';

type Spec = string | { readonly mode: FileMode; readonly to: string } | { readonly [name: string]: Spec };

const TREE: FileMode = 0o040000;

/** Trees and blobs in the order in which git packs them: each before what it names. */
class Pack {
  readonly objects: { readonly oid: Oid; readonly object: GitObject }[] = [];
  /** Ids that were asked for. */
  readonly asked: Oid[] = [];
  readonly root: Oid;

  constructor(spec: { readonly [name: string]: Spec }) {
    this.root = this.tree(spec);
  }

  private add(type: 'blob' | 'tree', data: Buffer, at: number): Oid {
    const oid = hashObject(type, data);
    if (!this.objects.some((known) => known.oid === oid)) this.objects.splice(at, 0, { oid, object: { type, data } });
    return oid;
  }

  private tree(spec: { readonly [name: string]: Spec }): Oid {
    const at = this.objects.length;
    const entries = Object.entries(spec).map(([name, what]): TreeEntry => {
      if (typeof what === 'string') return { name, mode: 0o100644, oid: this.blob(what) };
      if ('mode' in what && 'to' in what && typeof what.mode === 'number') {
        const { mode, to } = what as { mode: FileMode; to: string };
        return { name, mode, oid: mode === 0o160000 ? asOid(to) : this.blob(to) };
      }
      return { name, mode: TREE, oid: this.tree(what as { readonly [name: string]: Spec }) };
    });
    return this.add('tree', serializeTree(entries), at);
  }

  private blob(text: string): Oid {
    return this.add('blob', Buffer.from(text), this.objects.length);
  }

  find = (oid: Oid): GitObject | undefined => {
    this.asked.push(oid);
    return this.objects.find((known) => known.oid === oid)?.object;
  };

  read = (oid: Oid): GitObject => {
    const found = this.find(oid);
    if (found === undefined) throw new Error(`no object ${oid}`);
    return found;
  };

  has = (oid: Oid): boolean => this.find(oid) !== undefined;
}

const SPEC = {
  'README.md': 'read me',
  '.hidden': 'h',
  a: { 'one.md': '1', 'two.md': 'same', b: { 'deep.md': 'deep', 'same.md': 'same' } },
  'a.md': 'beside a',
  again: { 'deep.md': 'deep', 'same.md': 'same' },
  run: { mode: 0o100755, to: '#!/bin/sh' },
  link: { mode: 0o120000, to: 'a/one.md' },
  module: { mode: 0o160000, to: '1'.repeat(40) },
  nothing: {},
} as const;

const hashOf = (text: string): Oid => hashObject('blob', Buffer.from(text));

describe('FreshCheckout', () => {
  let checkout: FreshCheckout | undefined;
  afterEach(() => checkout?.close());

  function start(
    pack: Pack,
    settings: Partial<WorktreeSettings> = {},
  ): { root: string; gitDir: string; checkout: FreshCheckout } {
    const root = makeTemporaryDirectory();
    const gitDir = makeTemporaryDirectory();
    const worktree = new Worktree(nodeDisk, root, gitDir, { ...LINUX, ...settings });
    checkout = new FreshCheckout(worktree, pack.root, 4096);
    return { root, gitDir, checkout };
  }

  function offer(to: FreshCheckout, objects: Pack['objects']): void {
    for (const { oid, object } of objects) {
      if (object.type === 'tree') to.takeTree(oid, object.data);
      else to.takeBlob(oid, object.data);
    }
  }

  function complete(to: FreshCheckout, pack: Pack): { files: number; missing: Oid[] } {
    const { files, missing } = to.rest(pack);
    const oids = Array.from(missing, ({ oid }) => oid);
    for (const _ of to.finish(pack, () => undefined));
    return { files, missing: oids };
  }

  function expectAll({ root, gitDir, checkout }: ReturnType<typeof start>): void {
    const text = (path: string): string => readFileSync(join(root, path), 'utf8');
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(
      ['.hidden', 'README.md', 'a', 'a.md', 'a/b', 'a/b/deep.md', 'a/b/same.md', 'a/one.md', 'a/two.md']
        .concat(['again', 'again/deep.md', 'again/same.md', 'link', 'module', 'run'])
        .sort(),
    );
    expect(['a/two.md', 'a/b/same.md', 'again/same.md'].map(text)).toEqual(['same', 'same', 'same']);
    expect([text('README.md'), text('a.md'), text('again/deep.md')]).toEqual(['read me', 'beside a', 'deep']);
    expect(readlinkSync(join(root, 'link'))).toBe('a/one.md');
    expect(lstatSync(join(root, 'run')).mode & 0o777).toBe(0o755);
    const lock = IndexLock.acquire(nodeDisk, gitDir);
    lock.commitFresh(checkout.entries(), checkout.tree);
    const index = GitIndex.read(nodeDisk, gitDir);
    expect(index.entryCount).toBe(12);
    for (const entry of index.entries()) {
      if (entry.mode === 0o160000) continue;
      const { ino, size, mtimeNs, ctimeNs } = lstatSync(join(root, entry.path), { bigint: true });
      expect([entry.path, entry.stat.ino, entry.stat.size, entry.stat.mtimeNs, entry.stat.ctimeNs]).toEqual([
        entry.path,
        Number(BigInt.asUintN(32, ino)),
        Number(size),
        mtimeNs,
        ctimeNs,
      ]);
    }
  }

  it.each<[string, { readonly [name: string]: Spec }]>([
    ['of folders and files', SPEC],
    [
      'with folders that have no file',
      { 'a.md': 'a', no: {}, some: { 'b.md': 'b', no: { none: {} } }, all: { 'c.md': 'c' } },
    ],
    [
      'with names that git sorts by length',
      { bb: { 'x.md': 'x' }, a: { 'x.md': 'x' }, ü: { 'y.md': 'y' }, ccc: { z: { 'z.md': 'z' } } },
    ],
  ])("knows of a tree %s what git's cache of trees says of its entries", (_, spec) => {
    const pack = new Pack(spec);
    const { checkout: made } = start(pack);
    offer(made, pack.objects);
    complete(made, pack);
    const entries = SplicedEntries.allOf(made.entries().table());
    const wanted = updateCacheTree(undefined, entries, new Set(), { source: pack, root: pack.root });
    expect(cacheTreeOf(made.tree).toString('latin1')).toBe(wanted?.toString('latin1'));
  });

  it("writes a pack in git's order as it comes, and reads no file from the store", () => {
    const pack = new Pack(SPEC);
    const started = start(pack);
    offer(started.checkout, pack.objects);
    const link = hashObject('blob', Buffer.from('a/one.md'));
    // the second `same` came with the first one; the link and the other repository's folder are made at the end
    expect(complete(started.checkout, pack)).toMatchObject({ missing: expect.arrayContaining([link]) as unknown });
    const blobs = pack.objects.filter(({ object }) => object.type === 'blob').map(({ oid }) => oid);
    const again = [hashObject('blob', Buffer.from('same')), hashObject('blob', Buffer.from('deep'))];
    expect(pack.asked.filter((oid) => blobs.includes(oid) && oid !== link && !again.includes(oid))).toEqual([]);
    expectAll(started);
  });

  it.each([
    ['backwards', (objects: Pack['objects']) => [...objects].reverse()],
    ['without its trees', (objects: Pack['objects']) => objects.filter(({ object }) => object.type === 'blob')],
    ['without its blobs', (objects: Pack['objects']) => objects.filter(({ object }) => object.type === 'tree')],
    ['twice', (objects: Pack['objects']) => [...objects, ...objects]],
    ['not at all', () => []],
  ])('writes all where the pack comes %s', (_, order) => {
    const pack = new Pack(SPEC);
    const started = start(pack);
    offer(started.checkout, order(pack.objects));
    complete(started.checkout, pack);
    expectAll(started);
  });

  it.each(['.git', '.GIT', 'git~1', '.kb_clone_x', 'a\\b'])('refuses an unsafe path: %s', (name) => {
    const pack = new Pack({ inside: { [name]: 'evil' } });
    const { root, checkout } = start(pack);
    expect(() => offer(checkout, pack.objects)).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
    expect(readdirSync(root)).toEqual([]);
  });

  it("a link in a folder's place leads nowhere: the folder cannot be made", () => {
    const outside = makeTemporaryDirectory();
    const pack = new Pack({ folder: { 'file.md': 'x' } });
    const { root, checkout } = start(pack);
    nodeDisk.symlinkSync(outside, join(root, 'folder'));
    expect(() => complete(checkout, pack)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(readdirSync(outside)).toEqual([]);
  });

  it('writes nothing before all names are known where the volume folds them', () => {
    const pack = new Pack({ 'a.md': '1', sub: { x: '2' }, 'A.md': '3' });
    const { root, checkout } = start(pack, { ignoreCase: true });
    offer(checkout, pack.objects);
    expect(() => checkout.rest(pack)).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
    expect(readdirSync(root)).toEqual([]);
  });

  it('writes a link as a file where the volume has none, and refuses a target that no system can hold', () => {
    const pack = new Pack({ link: { mode: 0o120000, to: 'target' } });
    const { root, checkout } = start(pack, { symlinks: false });
    offer(checkout, pack.objects);
    complete(checkout, pack);
    expect(readFileSync(join(root, 'link'), 'utf8')).toBe('target');
    const bad = new Pack({ link: { mode: 0o120000, to: 'a\0b' } });
    const second = start(bad);
    expect(() => complete(second.checkout, bad)).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
    expect(existsSync(join(second.root, 'link'))).toBe(false);
  });

  it('leaves out what a sparse checkout does not have, and says so in the index', () => {
    const pack = new Pack(SPEC);
    const started = start(pack, { cone: () => SparseCone.of(['a/b']) });
    offer(started.checkout, pack.objects);
    complete(started.checkout, pack);
    expect(existsSync(join(started.root, 'again'))).toBe(false);
    expect(readFileSync(join(started.root, 'a/b/same.md'), 'utf8')).toBe('same');
    const lock = IndexLock.acquire(nodeDisk, started.gitDir);
    lock.commitFresh(started.checkout.entries(), started.checkout.tree);
    const leftOut = [...GitIndex.read(nodeDisk, started.gitDir).entries()].filter((entry) => entry.skipWorktree);
    expect(leftOut.map(({ path }) => path)).toEqual(['again/deep.md', 'again/same.md']);
    expect(leftOut.map(({ oid }) => oid)).toEqual([hashOf('deep'), hashOf('same')]);
  });

  describe('a large blob that comes piece by piece', () => {
    /** @param hash default: the blob's own */
    function stream(to: FreshCheckout, text: string, hash = hashOf(text)): boolean {
      const taker = to.takeLarge(text.length);
      for (let at = 0; at < text.length; at += 3) taker?.write(Buffer.from(text.slice(at, at + 3)));
      taker?.end(hash);
      return taker !== undefined;
    }

    const isTree = ({ object }: Pack['objects'][number]): boolean => object.type === 'tree';

    it('is written as it comes, and not read from the store', () => {
      const pack = new Pack(SPEC);
      const started = start(pack);
      offer(started.checkout, pack.objects.filter(isTree));
      expect(stream(started.checkout, 'beside a')).toBe(true);
      expect(started.checkout.progress).toMatchObject({ done: 1, bytes: 8 });
      expect(readFileSync(join(started.root, 'a.md'), 'utf8')).toBe('beside a');
      expect(complete(started.checkout, pack).missing).not.toContain(hashOf('beside a'));
      expect(pack.asked).not.toContain(hashOf('beside a'));
      expectAll(started);
    });

    it.each([
      ['has further places', 'same', 2],
      ['is an executable', '#!/bin/sh', 1],
      ["is a link's target", 'a/one.md', 1],
      ['is in no tree', 'of another tree', 0],
    ])('the rest is read from the store where it %s', (_, text, places) => {
      const pack = new Pack(SPEC);
      const started = start(pack);
      offer(started.checkout, pack.objects.filter(isTree));
      expect(stream(started.checkout, text)).toBe(true);
      expect(complete(started.checkout, pack).missing.filter((oid) => oid === hashOf(text))).toHaveLength(places);
      expectAll(started);
    });

    it('is not taken before a tree names a file, nor where the volume folds names', () => {
      const pack = new Pack(SPEC);
      expect(stream(start(pack).checkout, 'beside a')).toBe(false);
      const folding = start(pack, { ignoreCase: true });
      offer(folding.checkout, pack.objects.filter(isTree));
      expect(stream(folding.checkout, 'beside a')).toBe(false);
      expect(readdirSync(folding.root)).toEqual([]);
    });

    it('counts as about to be written until it is', () => {
      const pack = new Pack(SPEC);
      const { checkout } = start(pack);
      offer(checkout, pack.objects.filter(isTree));
      const taker = checkout.takeLarge(8);
      expect([checkout.writtenBytes, checkout.soonBytes]).toEqual([0, 8]);
      taker?.write(Buffer.from('besi'));
      expect([checkout.writtenBytes, checkout.soonBytes]).toEqual([4, 4]);
      taker?.write(Buffer.from('de a'));
      taker?.end(hashOf('beside a'));
      expect([checkout.writtenBytes, checkout.soonBytes]).toEqual([4096, 0]);
    });

    it('is gone when it does not come to its end', async () => {
      const pack = new Pack(SPEC);
      const { root, checkout } = start(pack);
      offer(checkout, pack.objects.filter(isTree));
      checkout.takeLarge(8)?.write(Buffer.from('besi'));
      expect(readdirSync(root)).toHaveLength(1);
      await checkout.close();
      expect(readdirSync(root)).toEqual([]);
    });

    it('is gone where its folder cannot be made', async () => {
      const pack = new Pack(SPEC);
      const { root, checkout } = start(pack);
      offer(checkout, pack.objects.filter(isTree));
      writeFileSync(join(root, 'a'), 'mine');
      expect(() => stream(checkout, '1')).toThrow(expect.objectContaining({ code: 'EEXIST' }));
      await checkout.close();
      expect(readdirSync(root)).toEqual(['a']);
    });

    it("does not take the place of a stranger's file", () => {
      const pack = new Pack(SPEC);
      const { root, checkout } = start(pack);
      offer(checkout, pack.objects.filter(isTree));
      writeFileSync(join(root, 'a.md'), 'mine');
      stream(checkout, 'beside a');
      expect(() => complete(checkout, pack)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
      expect(readFileSync(join(root, 'a.md'), 'utf8')).toBe('mine');
    });
  });

  it('makes nothing of an empty tree', () => {
    const pack = new Pack({});
    const { root, checkout } = start(pack);
    expect(pack.root).toBe(EMPTY_TREE);
    expect(complete(checkout, pack)).toEqual({ files: 0, missing: [] });
    expect(readdirSync(root)).toEqual([]);
    expect(checkout.entries().count).toBe(0);
  });
});
