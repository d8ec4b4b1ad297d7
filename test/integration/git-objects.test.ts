import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import isomorphicGit from 'isomorphic-git';
import * as fs from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { EMPTY_TREE, type Oid } from '../../src/git/ids.js';
import type { RepoPath } from '../../src/git/paths.js';
import { parseCommit, readCommit, serializeCommit } from '../../src/git/objects/commit.js';
import { commitsSince, isAncestor, mergeBases, readShallow, writeShallow } from '../../src/git/objects/history.js';
import type { ObjectType } from '../../src/git/objects/object.js';
import { writePack } from '../../src/git/objects/pack-writer.js';
import { StagedObjects } from '../../src/git/objects/staged.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { diffTrees } from '../../src/git/objects/tree-diff.js';
import { editTree } from '../../src/git/objects/tree-edit.js';
import { parseTree, serializeTree, walkTree, type FileMode, type Leaf } from '../../src/git/objects/tree.js';
import { git, gitBuffer, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

interface Known {
  readonly oid: Oid;
  readonly type: ObjectType;
  readonly size: number;
}

/** 60 versions of 40 notes, so that `git gc` makes delta chains; a merge, a tag, a link, odd names. */
function makeHistory(): string {
  const repository = makeTemporaryDirectory();
  git(repository, ['init', '-q']);
  const lines = (seed: number): string[] =>
    Array.from({ length: 60 }, (_, line) => createHash('sha1').update(`${seed} ${line}`).digest('hex'));
  let commands = '';
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const notes = new Map<string, string[]>();
  for (let version = 0; version < 60; version++) {
    commands += `commit refs/heads/main\ncommitter Ann <ann@example.com> ${1_700_000_000 + version * 60} +0130\n${data(`version ${version}\n`)}`;
    for (let step = 0; step < (version === 0 ? 40 : 3); step++) {
      const name = `${['notes', 'notes/deep/er', 'ä ö'][step % 3]}/note ${version === 0 ? step : (version * 7 + step) % 40}.md`;
      const text = notes.get(name) ?? lines(step);
      text[version % 60] = `changed in ${version}`;
      notes.set(name, text);
      commands += `M 100644 inline ${JSON.stringify(name)}\n${data(text.join('\n'))}`;
    }
  }
  git(repository, ['fast-import', '--quiet'], { input: commands });
  git(repository, ['reset', '-q', '--hard', 'main']);
  git(repository, ['checkout', '-q', '-b', 'side', 'HEAD~5']);
  fs.symlinkSync('notes/note 0.md', join(repository, 'link'));
  writeFileSync(join(repository, 'tool.sh'), '#!/bin/sh\n', { mode: 0o755 });
  git(repository, ['add', '-A']);
  git(repository, ['commit', '-q', '-m', 'side']);
  git(repository, ['checkout', '-q', 'main']);
  git(repository, ['merge', '-q', '--no-ff', '-m', 'merge', 'side']);
  git(repository, ['tag', '-a', '-m', 'first', 'v1']);
  return repository;
}

function allObjects(repository: string): Known[] {
  return git(repository, ['cat-file', '--batch-all-objects', '--batch-check=%(objectname) %(objecttype) %(objectsize)'])
    .trim()
    .split('\n')
    .map((line) => {
      const [oid, type, size] = line.split(' ');
      return { oid: oid as Oid, type: type as ObjectType, size: Number(size) };
    });
}

function bare(): string {
  const repository = makeTemporaryDirectory();
  git(repository, ['init', '-q', '--bare']);
  return repository;
}

function packOf(repository: string): string {
  const directory = join(repository, 'objects/pack');
  const name = readdirSync(directory).find((file) => file.endsWith('.pack'));
  if (name === undefined) throw new Error(`no pack in ${directory}`);
  return join(directory, name);
}

function feed(
  store: ObjectStore,
  pack: Buffer,
  chunk: number,
  keepLooseUnder = 0,
): { objectCount: number; oids?: Oid[] } {
  const receiver = store.receivePack({ keepLooseUnder });
  for (let at = 0; at < pack.length; at += chunk) receiver.write(pack.subarray(at, at + chunk));
  return receiver.finish();
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
}

function failure(work: () => unknown): KbError {
  try {
    work();
  } catch (error) {
    if (error instanceof KbError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe.skipIf(!nativeGit.available)('object store against native git (needs git on PATH)', () => {
  let repository: string;
  let known: Known[];
  beforeAll(() => {
    repository = makeHistory();
    known = allObjects(repository);
  });

  const copy = (...repack: string[]): string => {
    const target = join(makeTemporaryDirectory(), 'copy.git');
    git(repository, ['clone', '-q', '--bare', '--no-local', '.', target]);
    if (repack.length > 0) git(target, ['repack', '-q', '-a', '-d', '-f', ...repack]);
    return target;
  };

  const readsAll = (gitDir: string, expected = known): void => {
    const store = ObjectStore.open(nodeDisk, gitDir);
    for (const { oid, type, size } of expected) {
      expect(store.has(oid)).toBe(true);
      expect(store.header(oid)).toEqual({ type, size });
      const object = store.read(oid);
      expect([object.type, object.data.length]).toEqual([type, size]);
    }
    store.close();
  };

  it('reads loose objects', () => {
    const target = copy();
    const pack = readFileSync(packOf(target));
    rmSync(join(target, 'objects/pack'), { recursive: true });
    git(target, ['unpack-objects', '-q'], { input: pack });
    readsAll(target);
  });

  it.each([
    ['offset deltas', ['--depth=50', '--window=50']],
    ['deep chains', ['--depth=4000', '--window=200']],
    ['no deltas', ['--depth=0']],
  ])('reads packs with %s', (_, repack) => {
    readsAll(copy(...repack));
  });

  it('reads packs with deltas that name their base by id', () => {
    const target = copy();
    git(target, [
      '-c',
      'repack.useDeltaBaseOffset=false',
      'repack',
      '-q',
      '-a',
      '-d',
      '-f',
      '--depth=50',
      '--window=50',
    ]);
    readsAll(target);
  });

  it('finds objects that native git moved while the store was open', () => {
    const target = copy();
    const store = ObjectStore.open(nodeDisk, target);
    const [first] = known;
    expect(store.has(first?.oid as Oid)).toBe(true);
    git(target, ['repack', '-q', '-a', '-d', '-f', '--depth=3']);
    for (const { oid, type } of known) expect(store.read(oid).type).toBe(type);
    const added = git(target, ['hash-object', '-w', '--stdin'], { input: 'new\n' }).trim() as Oid;
    expect(store.read(added).data.toString()).toBe('new\n');
    git(target, ['repack', '-q', '-a', '-d']);
    git(target, ['unpack-objects', '-q'], { input: '', allowFailure: true });
    expect(store.has(added)).toBe(true);
    store.close();
  });

  it('survives that its pack goes away between the index lookup and the read', () => {
    const target = copy();
    let repacked = false;
    const disk = {
      ...nodeDisk,
      openSync: ((path: string, ...rest: [string]) => {
        if (!repacked && path.endsWith('.pack')) {
          repacked = true;
          git(target, ['repack', '-q', '-a', '-d', '-f', '--depth=2']);
        }
        return nodeDisk.openSync(path, ...rest);
      }) as typeof nodeDisk.openSync,
    };
    const store = ObjectStore.open(disk, target);
    for (const { oid, type } of known) expect(store.read(oid).type).toBe(type);
    expect(repacked).toBe(true);
  });

  it('says which object is missing', () => {
    const store = ObjectStore.open(nodeDisk, copy());
    const missing = '1'.repeat(40) as Oid;
    expect(store.find(missing)).toBeUndefined();
    expect(failure(() => store.read(missing))).toMatchObject({ code: 'E_CORRUPT', details: { oid: missing } });
  });

  it('refuses alternates, and takes an empty list of them', () => {
    const target = copy();
    writeFileSync(join(target, 'objects/info/alternates'), '# none\n\n');
    ObjectStore.open(nodeDisk, target);
    writeFileSync(join(target, 'objects/info/alternates'), `${repository}/.git/objects\n`);
    expect(failure(() => ObjectStore.open(nodeDisk, target)).code).toBe('E_UNSAFE_STATE');
  });

  it('refuses an index of version 1 with the command that renews it', () => {
    const target = copy();
    const pack = packOf(target);
    git(target, ['index-pack', '--index-version=1', '-o', `${pack}.v1`, pack]);
    renameSync(`${pack}.v1`, pack.replace(/pack$/, 'idx'));
    const error = failure(() => ObjectStore.open(nodeDisk, target).read(known[0]?.oid as Oid));
    expect(error.code).toBe('E_UNSAFE_STATE');
    expect(error.hint).toContain('git repack');
  });

  it('reports every damaged byte of a pack as E_CORRUPT, or reads the right bytes all the same', () => {
    const target = copy('--depth=20');
    const path = packOf(target);
    chmodSync(path, 0o644);
    const intact = readFileSync(path);
    for (let at = 12; at < intact.length - 20; at += Math.ceil(intact.length / 150)) {
      const bytes = Buffer.from(intact);
      bytes[at] = (bytes[at] as number) ^ 0x15;
      writeFileSync(path, bytes);
      const store = ObjectStore.open(nodeDisk, target);
      let damaged = 0;
      for (const { oid, size } of known) {
        try {
          expect(store.read(oid).data.length).toBe(size);
        } catch (error) {
          expect(error).toMatchObject({ code: 'E_CORRUPT' });
          damaged++;
        }
      }
      expect(damaged).toBeGreaterThan(0);
      store.close();
    }
  });

  it('reads an intact loose copy of an object whose packed copy is damaged', () => {
    const target = copy('--depth=0');
    const path = packOf(target);
    const blob = known.find((object) => object.type === 'blob' && object.size > 1000) as Known;
    const content = gitBuffer(target, ['cat-file', 'blob', blob.oid]);
    const offset = git(target, ['show-index'], { input: readFileSync(path.replace(/pack$/, 'idx')) })
      .split('\n')
      .find((line) => line.includes(blob.oid));
    chmodSync(path, 0o644);
    const bytes = readFileSync(path);
    bytes.fill(0x55, Number(offset?.split(' ')[0]) + 20, Number(offset?.split(' ')[0]) + 60);
    writeFileSync(path, bytes);
    const store = ObjectStore.open(nodeDisk, target);
    expect(failure(() => store.read(blob.oid)).code).toBe('E_CORRUPT');
    mkdirSync(join(target, 'objects', blob.oid.slice(0, 2)), { recursive: true });
    store.writeLoose('blob', content);
    // `writeLoose` trusts only what it can read: the loose copy is there now
    expect(store.read(blob.oid).data.equals(content)).toBe(true);
  });

  describe('writing loose', () => {
    it('writes what native git reads and finds nothing wrong with', () => {
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      const blob = store.writeLoose('blob', Buffer.from('hello\n'));
      const tree = store.writeLoose('tree', serializeTree([{ mode: 0o100644, name: 'a', oid: blob }]));
      expect(git(target, ['cat-file', '-p', tree])).toBe(`100644 blob ${blob}\ta\n`);
      expect(git(target, ['fsck', '--strict', '--no-dangling'])).toBe('');
      expect(files(join(target, 'objects')).every((name) => /^[0-9a-f]{38}$/.test(name))).toBe(true);
    });

    it.each([
      ['empty', (path: string) => truncateSync(path, 0)],
      ['truncated', (path: string) => truncateSync(path, 9)],
      ['overwritten', (path: string) => writeFileSync(path, 'garbage')],
    ])('repairs a file that is %s', (_, damage) => {
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      const oid = store.writeLoose('blob', Buffer.from('some text that is to be kept\n'));
      const path = join(target, 'objects', oid.slice(0, 2), oid.slice(2));
      chmodSync(path, 0o644);
      damage(path);
      expect(failure(() => store.read(oid)).code).toBe('E_CORRUPT');
      expect(store.writeLoose('blob', Buffer.from('some text that is to be kept\n'))).toBe(oid);
      expect(store.read(oid).data.toString()).toBe('some text that is to be kept\n');
      expect(git(target, ['fsck', '--strict', '--no-dangling'])).toBe('');
    });

    it('keeps the file of an intact object', () => {
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      const oid = store.writeLoose('blob', Buffer.from('x'));
      const path = join(target, 'objects', oid.slice(0, 2), oid.slice(2));
      const before = fs.statSync(path).ino;
      store.writeLoose('blob', Buffer.from('x'));
      expect(fs.statSync(path).ino).toBe(before);
    });
  });

  describe('receiving packs', () => {
    it.each([
      ['in pieces of 1 byte', 1],
      ['in pieces of 37 bytes', 37],
      ['in pieces of 64 KiB', 65536],
      ['at once', 1 << 30],
    ])('indexes a pack %s byte for byte as native git', (_, chunk) => {
      const source = copy('--depth=50', '--window=50');
      const pack = packOf(source);
      const target = bare();
      const result = feed(ObjectStore.open(nodeDisk, target), readFileSync(pack), chunk);
      expect(result.objectCount).toBe(known.length);
      expect(new Set(result.oids)).toEqual(new Set(known.map((object) => object.oid)));
      expect(readFileSync(packOf(target)).equals(readFileSync(pack))).toBe(true);
      expect(
        readFileSync(packOf(target).replace(/pack$/, 'idx')).equals(readFileSync(pack.replace(/pack$/, 'idx'))),
      ).toBe(true);
      expect(files(join(target, 'objects/pack'))).toHaveLength(2);
      expect(git(target, ['fsck', '--strict', '--no-dangling'], { allowFailure: true })).toBe('');
      readsAll(target);
    });

    it.each([
      ['deep chains', ['--depth=4000', '--window=200'], true],
      ['deltas by id', ['--depth=50', '--window=50'], false],
    ])('indexes %s', (_, repack, offsets) => {
      const source = copy();
      git(source, ['-c', `repack.useDeltaBaseOffset=${offsets}`, 'repack', '-q', '-a', '-d', '-f', ...repack]);
      const pack = packOf(source);
      const target = bare();
      feed(ObjectStore.open(nodeDisk, target), readFileSync(pack), 4096);
      expect(
        readFileSync(packOf(target).replace(/pack$/, 'idx')).equals(readFileSync(pack.replace(/pack$/, 'idx'))),
      ).toBe(true);
      readsAll(target);
    });

    it('unpacks a small pack into loose objects', () => {
      const source = copy('--depth=50');
      const pack = gitBuffer(source, ['pack-objects', '--stdout', '--revs', '-q'], { input: 'main\n^main~2\n' });
      const target = copy();
      const count = known.length;
      const store = ObjectStore.open(nodeDisk, target);
      const result = feed(store, pack, 999, 100);
      expect(result.objectCount).toBeLessThan(count);
      expect(files(join(target, 'objects/pack')).filter((name) => name.startsWith('tmp'))).toEqual([]);
      expect(result.oids?.length).toBe(result.objectCount);
      for (const oid of result.oids ?? [])
        expect(fs.existsSync(join(target, 'objects', oid.slice(0, 2), oid.slice(2)))).toBe(true);
      expect(git(target, ['fsck', '--strict', '--no-dangling'])).toBe('');
    });

    it.each([
      ['kept', 0],
      ['unpacked', 1000],
    ])('completes a thin pack that is %s', (_, keepLooseUnder) => {
      const target = bare();
      git(repository, ['branch', '-f', 'old', 'main~8']);
      git(target, ['fetch', '-q', repository, 'old:refs/heads/main']);
      const thin = gitBuffer(
        repository,
        ['pack-objects', '--thin', '--stdout', '--revs', '-q', '--delta-base-offset'],
        { input: 'main\n^main~8\n' },
      );
      const store = ObjectStore.open(nodeDisk, target);
      const result = feed(store, thin, 4096, keepLooseUnder);
      git(target, ['update-ref', 'refs/heads/main', git(repository, ['rev-parse', 'main']).trim()]);
      expect(git(target, ['fsck', '--strict', '--no-dangling'])).toBe('');
      for (const oid of result.oids ?? []) expect(store.has(oid)).toBe(true);
      for (const name of files(join(target, 'objects/pack')).filter((file) => file.endsWith('.idx'))) {
        git(target, ['verify-pack', join(target, 'objects/pack', name)]);
      }
    });

    it('refuses a thin pack whose base is nowhere', () => {
      const target = bare();
      const thin = gitBuffer(repository, ['pack-objects', '--thin', '--stdout', '--revs', '-q'], {
        input: 'main\n^main~8\n',
      });
      expect(failure(() => feed(ObjectStore.open(nodeDisk, target), thin, 4096)).message).toContain(
        'neither in it nor here',
      );
      expect(files(join(target, 'objects'))).toEqual([]);
    });

    it('takes a pack without objects', () => {
      const target = bare();
      const pack = gitBuffer(repository, ['pack-objects', '--stdout', '-q'], { input: '' });
      expect(feed(ObjectStore.open(nodeDisk, target), pack, 5)).toMatchObject({ objectCount: 0, oids: [] });
      expect(files(join(target, 'objects'))).toEqual([]);
    });

    it('leaves nothing behind when a pack is cut off anywhere', () => {
      const pack = gitBuffer(repository, ['pack-objects', '--stdout', '--revs', '-q'], {
        input: 'main\n^main~3\n^side\n',
      });
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      for (let length = 0; length < pack.length; length += length < 40 || length > pack.length - 30 ? 1 : 53) {
        const error = failure(() => feed(store, pack.subarray(0, length), 64));
        expect([error.code, error.message]).toEqual(['E_CORRUPT', expect.stringMatching(/damaged/)]);
      }
      expect(files(join(target, 'objects'))).toEqual([]);
    });

    it('refuses every flipped byte and everything behind the end', () => {
      const pack = gitBuffer(repository, ['pack-objects', '--stdout', '--revs', '-q', '--delta-base-offset'], {
        input: 'main~50\n',
      });
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      for (let at = 0; at < pack.length; at += at < 60 ? 1 : 29) {
        const bytes = Buffer.from(pack);
        bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
        expect(failure(() => feed(store, bytes, 4096)).code).toBe('E_CORRUPT');
      }
      expect(failure(() => feed(store, Buffer.concat([pack, Buffer.from('x')]), 4096)).code).toBe('E_CORRUPT');
      expect(failure(() => feed(store, Buffer.concat([pack, Buffer.from('x')]), 1)).code).toBe('E_CORRUPT');
      expect(files(join(target, 'objects'))).toEqual([]);
    });

    it('aborts without a trace', () => {
      const target = bare();
      const receiver = ObjectStore.open(nodeDisk, target).receivePack();
      receiver.write(Buffer.from('PACK'));
      receiver.abort();
      receiver.abort();
      expect(files(join(target, 'objects'))).toEqual([]);
      expect(failure(() => receiver.write(Buffer.from('x'))).code).toBe('E_INTERNAL');
    });

    it('turns a full disk into E_STORAGE and leaves nothing behind', () => {
      const target = bare();
      let writes = 0;
      const disk = {
        ...nodeDisk,
        writeSync: ((...rest: Parameters<typeof nodeDisk.writeSync>) => {
          if (++writes > 3) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
          return nodeDisk.writeSync(...rest);
        }) as typeof nodeDisk.writeSync,
      };
      const pack = readFileSync(packOf(copy()));
      expect(failure(() => feed(ObjectStore.open(disk, target), pack, 1000)).code).toBe('E_STORAGE');
      expect(files(join(target, 'objects'))).toEqual([]);
    });

    it('hashes a big blob without holding it, and reads it back', () => {
      const source = makeTemporaryDirectory();
      git(source, ['init', '-q']);
      const big = Buffer.alloc(9 * 1024 * 1024, 'a line of a big file\n');
      const random = createHash('sha512').update('seed').digest();
      for (let at = 0; at + 64 < big.length; at += 500) random.copy(big, at, at % 60);
      const oid = git(source, ['hash-object', '-w', '--stdin'], { input: big }).trim() as Oid;
      const near = Buffer.from(big);
      near.write('changed', 5_000_000);
      const other = git(source, ['hash-object', '-w', '--stdin'], { input: near }).trim() as Oid;
      const pack = gitBuffer(source, ['pack-objects', '--stdout', '-q', '--window=5', '--delta-base-offset'], {
        input: `${oid} a\n${other} a\n`,
      });
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      feed(store, pack, 65536);
      expect(store.read(oid).data.equals(big)).toBe(true);
      expect(store.read(other).data.equals(near)).toBe(true);
      expect(store.header(other)).toEqual({ type: 'blob', size: near.length });
    });

    it('keeps the limits', () => {
      const pack = readFileSync(packOf(copy('--depth=50')));
      const tries = [
        { maxPackBytes: 1000 },
        { maxPackObjects: 5 },
        { maxObjectBytes: 100 },
        { maxStructuredBytes: 50 },
        { maxDeltaDepth: 1 },
      ];
      for (const limits of tries) {
        const target = bare();
        expect(failure(() => feed(ObjectStore.open(nodeDisk, target, limits), pack, 4096)).message).toMatch(
          /limit|longer/,
        );
        expect(files(join(target, 'objects'))).toEqual([]);
      }
    });

    const hashTree = (content: Buffer): Buffer => {
      const made = makeTemporaryDirectory();
      git(made, ['init', '-q', '--bare']);
      const oid = git(made, ['hash-object', '-t', 'tree', '--literally', '-w', '--stdin'], { input: content }).trim();
      return gitBuffer(made, ['pack-objects', '--stdout', '-q'], { input: `${oid}\n` });
    };
    const entry = (mode: string, name: string, id = '1'.repeat(40)): Buffer =>
      Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex')]);
    it.each([
      ['a name twice', [entry('100644', 'a'), entry('100644', 'a')]],
      ['a name as file and folder', [entry('100644', 'a'), entry('100644', 'a-'), entry('40000', 'a')]],
      ['wrong order', [entry('100644', 'b'), entry('100644', 'a')]],
      ["a folder in a file's place", [entry('40000', 'a'), entry('100644', 'a-')]],
      ['a padded mode', [entry('040000', 'a')]],
      ['a null id', [entry('100644', 'a', '0'.repeat(40))]],
      ['an empty name', [entry('100644', '')]],
      ['a slash', [entry('100644', 'a/b')]],
      ['..', [entry('40000', '..')]],
      ['.GIT', [entry('40000', '.GIT')]],
      ['an unknown type', [entry('10644', 'a')]],
      ['cut off data', [entry('100644', 'a').subarray(0, 20)]],
    ])('refuses a tree with %s', (_, entries) => {
      const target = bare();
      const error = failure(() => feed(ObjectStore.open(nodeDisk, target), hashTree(Buffer.concat(entries)), 4096));
      expect(error.code).toBe('E_CORRUPT');
      expect(error.message).toMatch(/bad tree/);
      expect(files(join(target, 'objects'))).toEqual([]);
    });
  });

  describe('staged objects', () => {
    it.each([1, 5, 31, 32, 300])('persists %i objects as native git likes them', (count) => {
      const target = bare();
      const store = ObjectStore.open(nodeDisk, target);
      const staged = new StagedObjects(store);
      const leaves = new Map<RepoPath, Leaf>();
      for (let index = 0; index < count; index++) {
        leaves.set(`f${index % 7}/${index}.md` as RepoPath, {
          mode: 0o100644,
          oid: staged.add('blob', Buffer.from(`note ${index}\n`)),
        });
      }
      const tree = editTree(staged, EMPTY_TREE, leaves);
      const who = { name: 'Ann', email: 'ann@example.com', timestamp: 1_700_000_000, timezone: '+0130' };
      const commit = staged.add(
        'commit',
        serializeCommit({ tree, parents: [], author: who, committer: who, message: 'first\n' }),
      );
      expect(files(join(target, 'objects'))).toEqual([]);
      expect(staged.read(commit).type).toBe('commit');
      staged.persist();
      git(target, ['update-ref', 'refs/heads/main', commit]);
      expect(git(target, ['fsck', '--strict', '--full'])).toBe('');
      expect(git(target, ['ls-tree', '-r', 'main']).trim().split('\n')).toHaveLength(count);
      expect(git(target, ['log', '--format=%an <%ae> %ad %s', '--date=raw'])).toBe(
        'Ann <ann@example.com> 1700000000 +0130 first\n',
      );
      expect(staged.added()).toContain(commit);
    });
  });

  it('writes packs that native git indexes', () => {
    const store = ObjectStore.open(nodeDisk, join(repository, '.git'));
    const pack = Buffer.concat([
      ...writePack(
        store,
        known.map((object) => object.oid),
      ),
    ]);
    const target = bare();
    git(target, ['index-pack', '--strict', '--stdin'], { input: pack });
    expect(allObjects(target)).toEqual(known);
  });

  it('writes thin packs that native git completes', () => {
    const store = ObjectStore.open(nodeDisk, join(repository, '.git'));
    git(repository, ['branch', '-f', 'old', 'main~8']);
    const [old, fresh] = ['old', 'main'].map((name) => git(repository, ['rev-parse', name]).trim() as Oid) as [
      Oid,
      Oid,
    ];
    const oids = git(repository, ['rev-list', '--objects', '--no-object-names', 'main', '^old'])
      .trim()
      .split('\n') as Oid[];
    const whole = Buffer.concat([...writePack(store, oids)]);
    const thin = Buffer.concat([...writePack(store, oids, { against: old })]);
    expect(thin.length).toBeLessThan(whole.length / 2);
    const target = bare();
    git(target, ['fetch', '-q', repository, 'old:refs/heads/main']);
    git(target, ['index-pack', '--fix-thin', '--stdin'], { input: thin });
    git(target, ['update-ref', 'refs/heads/main', fresh]);
    expect(git(target, ['fsck', '--strict', '--no-dangling'])).toBe('');
    const ours = bare();
    git(ours, ['fetch', '-q', repository, 'old:refs/heads/main']);
    feed(ObjectStore.open(nodeDisk, ours), thin, 4096);
    git(ours, ['update-ref', 'refs/heads/main', fresh]);
    expect(git(ours, ['fsck', '--strict', '--no-dangling'])).toBe('');
  });

  it('reads trees, commits and history as native git and isomorphic-git do', async () => {
    const gitDir = join(repository, '.git');
    const store = ObjectStore.open(nodeDisk, gitDir);
    const head = git(repository, ['rev-parse', 'HEAD']).trim() as Oid;
    const listed: string[] = [];
    walkTree(store, readCommit(store, head).tree, (path, leaf) => {
      listed.push(`${leaf.mode.toString(8)} blob ${leaf.oid}\t${path}`);
    });
    const native = git(repository, ['ls-tree', '-r', '-z', 'HEAD']).split('\0').slice(0, -1);
    expect(listed).toEqual(native);
    for (const { oid, type } of known) {
      if (type === 'tree')
        expect(serializeTree(parseTree(store.readTyped(oid, 'tree')))).toEqual(store.readTyped(oid, 'tree'));
      if (type === 'commit')
        expect(serializeCommit(parseCommit(store.readTyped(oid, 'commit')))).toEqual(store.readTyped(oid, 'commit'));
    }
    const log = await isomorphicGit.log({ fs, gitdir: gitDir, ref: 'HEAD' });
    for (const { oid, commit } of log) {
      const ours = readCommit(store, oid as Oid);
      expect([ours.tree, ours.parents, ours.message, ours.author.timestamp]).toEqual([
        commit.tree,
        commit.parent,
        commit.message,
        commit.author.timestamp,
      ]);
    }
    expect(new Set(commitsSince(store, undefined, head, new Set()).commits)).toEqual(
      new Set(log.map((item) => item.oid)),
    );
  });

  it('agrees with git diff-tree between any two versions', () => {
    const store = ObjectStore.open(nodeDisk, join(repository, '.git'));
    const commits = git(repository, ['rev-list', 'main']).trim().split('\n') as Oid[];
    for (let step = 0; step + 9 < commits.length; step += 4) {
      const [a, b] = [commits[step + 9] as Oid, commits[step] as Oid];
      const ours = diffTrees(store, readCommit(store, a).tree, readCommit(store, b).tree).map(
        ({ path, before, after }) => `${(before?.mode ?? 0).toString(8)} ${(after?.mode ?? 0).toString(8)} ${path}`,
      );
      const native = git(repository, ['diff-tree', '-r', '-z', '--no-renames', a, b]).split('\0');
      const theirs: string[] = [];
      for (let at = 0; at + 1 < native.length; at += 2) {
        const [old = '', fresh = ''] = (native[at] as string).slice(1).split(' ');
        theirs.push(
          `${Number.parseInt(old, 8).toString(8)} ${Number.parseInt(fresh, 8).toString(8)} ${native[at + 1]}`,
        );
      }
      expect(ours).toEqual(theirs);
    }
  });

  describe('history', () => {
    /** A graph of 60 commits, merges and wrong clocks in it, the same every time. */
    function makeGraph(): { gitDir: string; commits: Oid[] } {
      const gitDir = bare();
      const store = ObjectStore.open(nodeDisk, gitDir);
      const tree = store.writeLoose('tree', Buffer.alloc(0));
      const commits: Oid[] = [];
      let state = 7;
      const random = (below: number): number => {
        state = (state * 1103515245 + 12345) % 2147483648;
        return Math.floor((state / 2147483648) * below);
      };
      for (let index = 0; index < 60; index++) {
        const parents = new Set<Oid>();
        const count = index < 2 ? 0 : 1 + random(2) * random(2);
        for (let parent = 0; parent < count; parent++) parents.add(commits[Math.max(0, index - 1 - random(5))] as Oid);
        const who = {
          name: 'A',
          email: 'a@b',
          timestamp: 1_600_000_000 + index * 10 - random(3) * 35,
          timezone: '+0000',
        };
        commits.push(
          store.writeLoose(
            'commit',
            serializeCommit({ tree, parents: [...parents], author: who, committer: who, message: `${index}\n` }),
          ),
        );
      }
      return { gitDir, commits };
    }

    it('agrees with git merge-base, merge-base --is-ancestor and rev-list', () => {
      const { gitDir, commits } = makeGraph();
      const store = ObjectStore.open(nodeDisk, gitDir);
      const none = new Set<Oid>();
      for (let a = 3; a < 60; a += 5) {
        for (let b = 1; b < 60; b += 7) {
          const [one, other] = [commits[a] as Oid, commits[b] as Oid];
          const native = git(gitDir, ['merge-base', '--all', one, other], { allowFailure: true })
            .split('\n')
            .filter(Boolean);
          expect(mergeBases(store, one, other, none).sort()).toEqual(native.sort());
          expect(isAncestor(store, other, one, none)).toBe(native.includes(other));
          const range = commitsSince(store, other, one, none);
          const listed = git(gitDir, ['rev-list', '--parents', `${other}..${one}`])
            .split('\n')
            .filter(Boolean);
          expect(new Set(range.commits)).toEqual(new Set(listed.map((line) => line.slice(0, 40))));
          expect(range.hasMerges).toBe(listed.some((line) => line.length > 82));
          const place = new Map(range.commits.map((oid, index) => [oid, index]));
          for (const line of listed) {
            const [child = '', ...parents] = line.split(' ') as Oid[];
            for (const parent of parents)
              expect(place.get(parent) ?? -1).toBeLessThan(place.get(child as Oid) as number);
          }
        }
      }
    });

    it('finds the same merge base as isomorphic-git', async () => {
      const gitDir = join(repository, '.git');
      const store = ObjectStore.open(nodeDisk, gitDir);
      const [main, side] = ['main~1', 'side'].map((name) => git(repository, ['rev-parse', name]).trim() as Oid) as [
        Oid,
        Oid,
      ];
      const oracle = (await isomorphicGit.findMergeBase({ fs, gitdir: gitDir, oids: [main, side] })) as string[];
      expect(mergeBases(store, main, side, new Set())).toEqual(oracle);
    });

    it('ends where a shallow clone ends', () => {
      const target = join(makeTemporaryDirectory(), 'shallow');
      git(repository, ['clone', '-q', '--depth=3', `file://${repository}`, target]);
      const gitDir = join(target, '.git');
      const shallow = readShallow(nodeDisk, gitDir);
      expect([...shallow].sort()).toEqual(readFileSync(join(gitDir, 'shallow'), 'utf8').trim().split('\n').sort());
      const store = ObjectStore.open(nodeDisk, gitDir);
      const head = git(target, ['rev-parse', 'HEAD']).trim() as Oid;
      const listed = git(target, ['rev-list', 'HEAD']).trim().split('\n');
      expect(new Set(commitsSince(store, undefined, head, shallow).commits)).toEqual(new Set(listed));
      for (const edge of shallow) expect(isAncestor(store, edge, head, shallow)).toBe(true);
      const [edge] = shallow;
      writeShallow(nodeDisk, gitDir, shallow);
      expect(git(target, ['rev-list', 'HEAD']).trim().split('\n')).toEqual(listed);
      expect(git(target, ['fsck', '--strict', '--no-dangling'])).toBe('');
      writeFileSync(join(gitDir, 'shallow.lock'), '');
      expect(failure(() => writeShallow(nodeDisk, gitDir, new Set([edge as Oid]))).code).toBe('E_UNSAFE_STATE');
      rmSync(join(gitDir, 'shallow.lock'));
      writeShallow(nodeDisk, gitDir, new Set());
      expect(readShallow(nodeDisk, gitDir).size).toBe(0);
      expect(fs.existsSync(join(gitDir, 'shallow'))).toBe(false);
    });
  });

  it('edits and compares a folder of 100,000 entries as native git does', () => {
    const target = bare();
    const store = ObjectStore.open(nodeDisk, target);
    const blob = store.writeLoose('blob', Buffer.from('x'));
    const other = store.writeLoose('blob', Buffer.from('y'));
    const mode: FileMode = 0o100644;
    const names = Array.from({ length: 100_000 }, (_, index) => `note-${(index * 7919) % 100_000}.md`);
    const staged = new StagedObjects(store);
    const before = staged.add('tree', serializeTree(names.map((name) => ({ mode, name, oid: blob }))));
    const changes = new Map<RepoPath, Leaf | null>([
      ['note-5.md' as RepoPath, null],
      ['note-5.md/inside.md' as RepoPath, { mode, oid: other }],
      ['note-77777.md' as RepoPath, { mode: 0o100755, oid: blob }],
      ['aaa.md' as RepoPath, { mode, oid: other }],
      ['zzz.md' as RepoPath, { mode, oid: other }],
      ['note-99999.md' as RepoPath, null],
    ]);
    const after = editTree(staged, before, changes);
    staged.persist();
    const index = { GIT_INDEX_FILE: join(target, 'oracle-index') };
    git(target, ['read-tree', before], { env: index });
    const input = [
      `0 ${'0'.repeat(40)}\tnote-5.md`,
      `100644 ${other}\tnote-5.md/inside.md`,
      `100755 ${blob}\tnote-77777.md`,
      `100644 ${other}\taaa.md`,
      `100644 ${other}\tzzz.md`,
      `0 ${'0'.repeat(40)}\tnote-99999.md`,
    ].join('\n');
    git(target, ['update-index', '--index-info'], { env: index, input: `${input}\n` });
    expect(after).toBe(git(target, ['write-tree'], { env: index }).trim());
    const paths = diffTrees(store, before, after).map((change) => change.path);
    expect(paths).toEqual(
      git(target, ['diff-tree', '-r', '--no-renames', '--name-only', before, after]).trim().split('\n'),
    );
    expect(diffTrees(store, EMPTY_TREE, before)).toHaveLength(100_000);
  });
});
