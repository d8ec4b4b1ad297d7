import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { EMPTY_TREE, type Oid } from '../../../../src/git/ids.js';
import { hashObject } from '../../../../src/git/objects/object.js';
import { writePack } from '../../../../src/git/objects/pack-writer.js';
import { ObjectStore } from '../../../../src/git/objects/store.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';
import { MemoryObjects } from './memory-objects.js';

function emptyStore(disk: Disk = nodeDisk): { store: ObjectStore; objects: string } {
  const gitDir = makeTemporaryDirectory();
  mkdirSync(join(gitDir, 'objects'));
  return { store: ObjectStore.open(disk, gitDir), objects: join(gitDir, 'objects') };
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

function someObjects(count: number): { source: MemoryObjects; oids: Oid[] } {
  const source = new MemoryObjects();
  return {
    source,
    oids: Array.from({ length: count }, (_, index) =>
      source.add('blob', Buffer.from(`object ${index}\n`.repeat(1 + (index % 50)))),
    ),
  };
}

function receive(store: ObjectStore, pack: Buffer, keepLooseUnder = 0, chunk = 1000): { objectCount: number } {
  const receiver = store.receivePack({ keepLooseUnder });
  for (let at = 0; at < pack.length; at += chunk) receiver.write(pack.subarray(at, at + chunk));
  return receiver.finish();
}

/** A pack of entries made by hand: type number, extra head bytes, content. */
function handMade(...entries: { type: number; extra?: Buffer; data: Buffer }[]): Buffer {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  header.writeUInt32BE(entries.length, 8);
  const parts = entries.map(({ type, extra, data }) => {
    if (data.length > 15) throw new Error('only short ones');
    return Buffer.concat([Buffer.from([(type << 4) | data.length]), extra ?? Buffer.alloc(0), deflateSync(data)]);
  });
  const body = Buffer.concat([header, ...parts]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

describe('ObjectStore', () => {
  it('reads back a pack that kb wrote', () => {
    const { source, oids } = someObjects(500);
    const { store, objects } = emptyStore();
    const progress: number[] = [];
    const receiver = store.receivePack({ keepLooseUnder: 100, onProgress: (p) => progress.push(p.objects, p.total) });
    for (const piece of writePack(source, oids)) receiver.write(piece);
    for (const oid of oids.slice(0, 5)) expect(store.has(oid)).toBe(false);
    expect(receiver.finish()).toMatchObject({ objectCount: 500, oids });
    expect(progress.slice(-2)).toEqual([500, 500]);
    expect(files(objects)).toHaveLength(2);
    for (const oid of oids) {
      expect(store.read(oid)).toEqual(source.read(oid));
      expect(store.header(oid)).toEqual({ type: 'blob', size: source.read(oid).data.length });
    }
    store.close();
    expect(store.has(oids[0] as Oid)).toBe(true);
  });

  it('unpacks few objects', () => {
    const { source, oids } = someObjects(5);
    const { store, objects } = emptyStore();
    receive(store, Buffer.concat([...writePack(source, oids)]), 6);
    expect(files(objects).sort()).toEqual(oids.map((oid) => oid.slice(2)).sort());
    for (const oid of oids) {
      expect(store.header(oid)).toEqual({ type: 'blob', size: source.read(oid).data.length });
      expect(store.read(oid)).toEqual(source.read(oid));
    }
  });

  it('reads few bytes of a big index and pack for one object', () => {
    const { source, oids } = someObjects(20_000);
    let bytes = 0;
    const counting: Disk = {
      ...nodeDisk,
      readSync: ((...call: Parameters<typeof nodeDisk.readSync>) => {
        const got = nodeDisk.readSync(...call);
        bytes += got;
        return got;
      }) as typeof nodeDisk.readSync,
    };
    const { store } = emptyStore(counting);
    receive(store, Buffer.concat([...writePack(source, oids)]), 0, 1 << 20);
    store.close();
    bytes = 0;
    store.read(oids[12_345] as Oid);
    expect(bytes).toBeLessThan(24 * 1024);
  });

  it('reads a tree that was read just now from memory', () => {
    let opened = 0;
    const { store, objects } = emptyStore({
      ...nodeDisk,
      readFileSync: ((...call: [string]) => (opened++, nodeDisk.readFileSync(...call))) as typeof nodeDisk.readFileSync,
    });
    const tree = store.writeLoose('tree', Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(20, 1)]));
    opened = 0;
    const first = store.read(tree);
    expect(store.read(tree)).toBe(first);
    expect(opened).toBe(1);
    expect(files(objects)).toHaveLength(1);
  });

  it('holds at most 64 packs open', () => {
    let open = 0;
    let most = 0;
    const counting: Disk = {
      ...nodeDisk,
      openSync: (...call) => {
        most = Math.max(most, ++open);
        return nodeDisk.openSync(...call);
      },
      closeSync: (descriptor) => {
        open--;
        nodeDisk.closeSync(descriptor);
      },
    };
    const { store } = emptyStore(counting);
    const { source, oids } = someObjects(100);
    for (const oid of oids) receive(store, Buffer.concat([...writePack(source, [oid])]));
    most = 0;
    for (const oid of oids) expect(store.read(oid)).toEqual(source.read(oid));
    expect(most).toBeLessThan(140);
    store.close();
    expect(open).toBe(0);
  });

  it('knows the empty tree always', () => {
    const { store } = emptyStore();
    expect(store.has(EMPTY_TREE)).toBe(true);
    expect(store.read(EMPTY_TREE)).toEqual({ type: 'tree', data: Buffer.alloc(0) });
    expect(store.header(EMPTY_TREE)).toEqual({ type: 'tree', size: 0 });
  });

  it('refuses an object over the limit, loose or packed, before it takes memory', () => {
    const gitDir = makeTemporaryDirectory();
    mkdirSync(join(gitDir, 'objects'));
    const big = Buffer.alloc(5000, 'x');
    const oid = ObjectStore.open(nodeDisk, gitDir).writeLoose('blob', big);
    const limited = ObjectStore.open(nodeDisk, gitDir, { maxObjectBytes: 4999 });
    expect(() => limited.read(oid)).toThrow(/limit/);
    expect(() => limited.header(oid)).toThrow(/limit/);
  });

  it.each([
    ['another content', 'blob 1\0x'],
    ['no type', 'note 1\0x'],
    ['a padded size', 'blob 01\0x'],
    ['a size that is too small', 'blob 3\0four'],
    ['a size that is too big', 'blob 5\0four'],
    ['no head', 'x'.repeat(100)],
  ])('reports a loose object with %s', (_, content) => {
    const { store, objects } = emptyStore();
    const oid = hashObject('blob', Buffer.from('four'));
    mkdirSync(join(objects, oid.slice(0, 2)));
    writeFileSync(join(objects, oid.slice(0, 2), oid.slice(2)), deflateSync(content));
    expect(() => store.read(oid)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('reports bytes behind a loose object', () => {
    const { store, objects } = emptyStore();
    const oid = hashObject('blob', Buffer.from('four'));
    mkdirSync(join(objects, oid.slice(0, 2)));
    writeFileSync(
      join(objects, oid.slice(0, 2), oid.slice(2)),
      Buffer.concat([deflateSync('blob 4\0four'), Buffer.from('more')]),
    );
    expect(() => store.read(oid)).toThrow(/behind its end/);
  });
});

describe('what survives a power cut', () => {
  /** The calls that decide it, each with the kind of file it was for. */
  function recording(): { disk: Disk; steps: string[] } {
    const steps: string[] = [];
    const names = new Map<number, string>();
    const kind = (path: unknown): string =>
      String(path)
        .replace(/.*\/objects/, 'objects')
        .replace(/kb[0-9a-f]{16}/, '*')
        .replace(/[0-9a-f]{38,40}/, '*')
        .replace(/objects\/[0-9a-f]{2}(?=\/|$)/, 'objects/xx');
    const disk: Disk = {
      ...nodeDisk,
      openSync: (path, ...rest) => {
        const descriptor = nodeDisk.openSync(path, ...rest);
        names.set(descriptor, kind(path));
        return descriptor;
      },
      fsyncSync: (descriptor) => {
        steps.push(`fsync ${names.get(descriptor)}`);
        nodeDisk.fsyncSync(descriptor);
      },
      renameSync: (from, to) => {
        steps.push(`rename ${kind(from)} ${kind(to)}`);
        nodeDisk.renameSync(from, to);
      },
    };
    return { disk, steps };
  }

  it('a loose object: content, then name, then directory', () => {
    const { disk, steps } = recording();
    emptyStore(disk).store.writeLoose('blob', Buffer.from('x'));
    expect(steps).toEqual([
      'fsync objects/xx/tmp_obj_*',
      'rename objects/xx/tmp_obj_* objects/xx/*',
      'fsync objects',
      'fsync objects/xx',
    ]);
  });

  it('a loose object is written although git removes its empty folder right after it was made', () => {
    let removals = 0;
    const disk: Disk = {
      ...nodeDisk,
      mkdirSync: ((path: string) => {
        const made = nodeDisk.mkdirSync(path);
        if (/objects\/[0-9a-f]{2}$/.test(path) && removals++ < 2) nodeDisk.rmdirSync(path);
        return made;
      }) as Disk['mkdirSync'],
    };
    const { store } = emptyStore(disk);
    const oid = store.writeLoose('blob', Buffer.from('x'));
    expect(store.read(oid).data.toString()).toBe('x');
  });

  it('a pack: both files, then the pack, then the index that makes it visible', () => {
    const { disk, steps } = recording();
    const { source, oids } = someObjects(3);
    receive(emptyStore(disk).store, Buffer.concat([...writePack(source, oids)]));
    expect(steps).toEqual([
      'fsync objects/pack/tmp_pack_*',
      'fsync objects/pack/tmp_idx_*',
      'rename objects/pack/tmp_pack_* objects/pack/pack-*.pack',
      'rename objects/pack/tmp_idx_* objects/pack/pack-*.idx',
      'fsync objects/pack',
    ]);
  });
});

describe('packs made to hurt', () => {
  const base = Buffer.from('base');
  const copyAll = (size: number, result: number): Buffer => Buffer.from([size, result, 0b10010000, result]);

  it.each<[string, Buffer, RegExp]>([
    [
      'an offset delta to before the first entry',
      handMade({ type: 6, extra: Buffer.from([100]), data: copyAll(4, 4) }),
      /outside the pack/,
    ],
    [
      'an offset delta onto itself',
      handMade({ type: 3, data: base }, { type: 6, extra: Buffer.from([0]), data: copyAll(4, 4) }),
      /outside the pack/,
    ],
    [
      'an offset delta into the middle of an entry',
      handMade({ type: 3, data: base }, { type: 6, extra: Buffer.from([5]), data: copyAll(4, 4) }),
      /outside the pack/,
    ],
    [
      'a delta by id that is nowhere',
      handMade({ type: 7, extra: Buffer.alloc(20, 1), data: copyAll(4, 4) }),
      /neither in it nor here/,
    ],
    [
      'a delta for another base',
      handMade({ type: 3, data: base }, { type: 6, extra: Buffer.from([13]), data: copyAll(9, 4) }),
      /another base/,
    ],
    ['an object twice', handMade({ type: 3, data: base }, { type: 3, data: base }), /twice/],
    ['a commit that is none', handMade({ type: 1, data: Buffer.from('tree x') }), /bad commit/],
    ['a tag that is none', handMade({ type: 4, data: Buffer.from('object x') }), /bad tag/],
    ['a tree that is none', handMade({ type: 2, data: Buffer.from('100644 a') }), /bad tree/],
    ['a reserved type', handMade({ type: 5, data: base }), /does not exist/],
  ])('refuses %s', (_, pack, message) => {
    const { store, objects } = emptyStore();
    for (const chunk of [1, 1000]) {
      expect(() => receive(store, pack, 0, chunk)).toThrow(
        expect.objectContaining({ code: 'E_CORRUPT', message: expect.stringMatching(message) as string }),
      );
    }
    expect(files(objects)).toEqual([]);
  });

  it('refuses a pack that claims more objects than it has, at little cost', () => {
    const pack = handMade({ type: 3, data: base });
    pack.writeUInt32BE(40_000_000, 8);
    const { store } = emptyStore();
    expect(() => receive(store, pack)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('resolves deltas by id against objects that come later, and chains of them', () => {
    const first = hashObject('blob', base);
    const second = hashObject('blob', Buffer.from('bas'));
    const pack = handMade(
      { type: 7, extra: Buffer.from(second, 'hex'), data: copyAll(3, 2) },
      { type: 7, extra: Buffer.from(first, 'hex'), data: copyAll(4, 3) },
      { type: 3, data: base },
    );
    const { store } = emptyStore();
    expect(receive(store, pack).objectCount).toBe(3);
    expect(store.read(hashObject('blob', Buffer.from('ba'))).data.toString()).toBe('ba');
    expect(store.header(hashObject('blob', Buffer.from('ba')))).toEqual({ type: 'blob', size: 2 });
  });

  it('writes a completed thin pack that can be read without the one it leant on', () => {
    const { store, objects } = emptyStore();
    const first = store.writeLoose('blob', base);
    receive(store, handMade({ type: 7, extra: Buffer.from(first, 'hex'), data: copyAll(4, 3) }));
    const other = emptyStore();
    mkdirSync(join(other.objects, 'pack'));
    for (const name of readdirSync(join(objects, 'pack'))) {
      writeFileSync(join(other.objects, 'pack', name), nodeDisk.readFileSync(join(objects, 'pack', name)));
    }
    expect(other.store.read(hashObject('blob', Buffer.from('bas'))).data.toString()).toBe('bas');
    expect(other.store.read(first).data.toString()).toBe('base');
  });
});
