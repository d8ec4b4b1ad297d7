import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { generateHistory, randomNumbers } from '../../bench/generate.js';
import { nodeDisk } from '../../src/disk/disk.js';
import type { StartThread } from '../../src/disk/second-thread.js';
import { isKbError } from '../../src/errors.js';
import type { ObjectLimits } from '../../src/git/objects/limits.js';
import { SettlingThread } from '../../src/git/objects/settling-thread.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { commit, deltaAgainst, object, pack, repeating, tree, whole, type Entry } from '../support/pack-maker.js';

const SEED = Number(process.env['KB_SEED'] ?? 20261120);
const withThread: StartThread = (program, options) => new Worker(program, options);
/** As if the machine had one processor. */
const NO_THREAD: StartThread = () => {
  throw new Error('no thread');
};

interface Outcome {
  /** The index that came of the pack, or the error. */
  readonly index?: Buffer;
  readonly directory: string;
  readonly code?: string;
  readonly message?: string;
}

/** @param start the second thread; it gets everything, and time to do it */
async function receive(
  bytes: Buffer,
  start: StartThread,
  {
    limits = {},
    pieceBytes = 50_000,
    pauseMs = 0,
  }: { limits?: Partial<ObjectLimits>; pieceBytes?: number; pauseMs?: number } = {},
): Promise<Outcome> {
  const directory = makeTemporaryDirectory();
  git(directory, ['init', '-q', '--bare']);
  const receiver = ObjectStore.open(nodeDisk, directory, limits).receivePack({
    keepLooseUnder: 0,
    secondThread: { fromObjects: 1, start: (settled) => SettlingThread.start(settled, start) },
  });
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      receiver.write(bytes.subarray(at, at + pieceBytes));
      if (pauseMs > 0) await setTimeout(pauseMs);
    }
    receiver.finish();
  } catch (error) {
    receiver.abort();
    if (!isKbError(error)) throw error;
    expect(readdirSync(join(directory, 'objects/pack'))).toEqual([]);
    return { directory, code: error.code, message: error.message };
  }
  return { directory, index: readFileSync(packFile(directory, '.idx')) };
}

function packFile(directory: string, end: string): string {
  const packs = join(directory, 'objects/pack');
  return join(packs, readdirSync(packs).find((name) => name.endsWith(end)) as string);
}

/** With another byte at that place, and the checksum that fits. */
function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  createHash('sha1')
    .update(copy.subarray(0, -20))
    .digest()
    .copy(copy, copy.length - 20);
  return copy;
}

describe.skipIf(!nativeGit.available || availableParallelism() < 2)(
  'a pack that two threads settle (needs native git and two processors)',
  () => {
    let repository: string;
    let bytes: Buffer;
    let index: Buffer;
    beforeAll(async () => {
      repository = join(makeTemporaryDirectory(), 'history.git');
      mkdirSync(repository);
      await generateHistory(repository, { notes: 200, commits: 1500, seed: 5 });
      bytes = readFileSync(packFile(repository, '.pack'));
      index = readFileSync(packFile(repository, '.idx'));
    }, 60_000);

    it.each([
      ['at once', 10_000_000, 0],
      ['in pieces', 5000, 0],
      ['byte by byte where it hurts', 97, 0],
      ['slowly', 20_000, 2],
    ])('has the index that native git makes of it; it comes %s', async (_, pieceBytes, pauseMs) => {
      const { index: made, directory } = await receive(bytes, withThread, { pieceBytes, pauseMs });
      expect(made?.equals(index)).toBe(true);
      git(directory, ['fsck', '--strict', '--full']);
    });

    it('has the same index where deltas are named by id, come before their bases, or are many', async () => {
      git(repository, ['tag', '-a', '-m', 'a tag', 'v1', 'main']);
      for (const options of [
        ['--no-reuse-delta', '--depth=200', '--window=40'],
        ['--delta-base-offset', '--depth=0'],
        [],
      ]) {
        const other = git(repository, ['pack-objects', '-q', '--all', ...options, join(repository, 'other')], {
          input: '',
        }).trim();
        const { index: made } = await receive(readFileSync(join(repository, `other-${other}.pack`)), withThread);
        expect(made?.equals(readFileSync(join(repository, `other-${other}.idx`)))).toBe(true);
      }
    });

    it('… the thread does most of it', async () => {
      let named = 0;
      const receiver = ObjectStore.open(nodeDisk, makeTemporaryDirectory()).receivePack({
        keepLooseUnder: 0,
        secondThread: {
          fromObjects: 1,
          start: (settled) =>
            SettlingThread.start({
              named: (...call) => (named++, settled.named(...call)),
              unchecked: (...call) => settled.unchecked(...call),
              unmade: (...call) => settled.unmade(...call),
            }),
        },
      });
      receiver.write(bytes);
      receiver.finish();
      const objects = bytes.readUInt32BE(8);
      expect(named).toBeGreaterThan(objects / 3);
      // commits stay where they are
      expect(named).toBeLessThanOrEqual(objects - 1500);
    });

    it.each([
      ['cannot be had', NO_THREAD],
      ['ends before it begins', broken('process.exit(3);')],
      ['dies before it begins', broken("throw new Error('dead on purpose');")],
      ['hangs', broken('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);')],
      ['ends in a batch', brokenHash('process.exit(3);')],
      ['dies in a batch', brokenHash("throw new Error('dead on purpose');")],
      ['runs out of memory in a batch', brokenHash('const all = []; for (;;) all.push(new Array(100000).fill(0.5));')],
      ['hangs in a batch', brokenHash('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);')],
    ])('a second thread that %s is done without', async (_, start) => {
      const { index: made } = await receive(bytes, start, { pauseMs: 1 });
      expect(made?.equals(index)).toBe(true);
    });

    it(`finds what one thread finds, whatever byte is another one (seed ${SEED})`, async () => {
      const random = randomNumbers(SEED);
      const outcomes = new Set<string>();
      for (let round = 0; round < 16; round++) {
        const at = 12 + Math.floor(random() * (bytes.length - 32));
        const other = changed(bytes, at, Math.floor(random() * 256));
        const [one, two] = [await receive(other, NO_THREAD), await receive(other, withThread)];
        expect([at, two.code, two.index?.toString('hex')]).toEqual([at, one.code, one.index?.toString('hex')]);
        outcomes.add(one.code ?? 'fine');
      }
      expect(outcomes).toContain('E_CORRUPT');
    });

    const blob = object('blob', Buffer.from('text\n'.repeat(100)));
    const sound = tree([{ mode: '100644', name: 'a', oid: blob.oid }]);
    const treeOf = (mode: string, name: string) => object('tree', tree([{ mode, name, oid: blob.oid }]));
    /** Of entries that lie one after the other: a delta against the one before it. */
    const onTop = (before: readonly Entry[], delta: Buffer): Entry => {
      let base = 12;
      for (const { head, body } of before.slice(0, -1))
        base += head(base).length + Buffer.concat([...(body as Iterable<Buffer>)]).length;
      return deltaAgainst(base, delta);
    };
    const chain = (length: number): Entry[] => {
      const entries: Entry[] = [object('blob', Buffer.from('0'))];
      for (let size = 1; size <= length; size++) entries.push(onTop(entries, repeating(size, 1, 'x')));
      return entries;
    };
    it.each<[string, Entry[], Partial<ObjectLimits>, string | undefined]>([
      ['a tree with .git in it', [treeOf('40000', '.git')], {}, 'the pack holds a bad tree'],
      ['a tree with git~1 in it', [blob, treeOf('100644', 'git~1')], {}, 'the pack holds a bad tree'],
      [
        'a delta that makes a tree with .git in it',
        [object('tree', sound), onTop([blob], Buffer.concat([Buffer.of(29, 31), treeDelta('40000 .git')]))],
        {},
        'the pack holds a bad tree',
      ],
      [
        'a delta that makes a tree to be looked at with more care',
        [object('tree', sound), onTop([blob], Buffer.concat([Buffer.of(29, 31), treeDelta('100644 a~b')]))],
        {},
        undefined,
      ],
      ['a delta for another base', [blob, onTop([blob], repeating(7, 1, 'x'))], {}, 'it was made for another base'],
      [
        'a delta with a reserved command',
        [blob, onTop([blob], Buffer.of(0xf4, 3, 1, 0))],
        {},
        'it holds a reserved command',
      ],
      ['a chain within the limit', chain(60), { maxDeltaDepth: 60 }, undefined],
      ['a chain over it', chain(61), { maxDeltaDepth: 60 }, 'a delta chain is longer than 60'],
      ['a bomb', [blob, onTop([blob], repeating(500, 100_000))], { maxDeltaBytes: 1 << 20 }, 'is over kb'],
      ['what a thread does not hold', [blob, onTop([blob], repeating(500, 1000))], {}, undefined],
      ['an object that comes twice', [blob, blob], {}, 'twice'],
      ['a commit that is none', [object('commit', Buffer.from('tree 1\n'))], {}, 'the pack holds a bad commit'],
      [
        'a sound one',
        [blob, object('tree', sound), object('commit', commit(object('tree', sound).oid))],
        {},
        undefined,
      ],
    ])('says of %s what one thread says', async (_, entries, limits, problem) => {
      const made = await whole(pack(entries));
      const [one, two] = [await receive(made, NO_THREAD, { limits }), await receive(made, withThread, { limits })];
      expect({ ...two, directory: '' }).toEqual({ ...one, directory: '' });
      if (problem === undefined) expect(two.index).toBeDefined();
      else expect(two.message).toContain(problem);
    });
  },
);

/** What is inserted for the mode and name of a tree's only entry, before its id. */
function treeDelta(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text), Buffer.of(0x91, 8, 21)]);
}

function broken(what: string): StartThread {
  return (program: string, options: WorkerOptions) => new Worker(what + program, options);
}

/** From the hundredth object on. */
function brokenHash(what: string): StartThread {
  return broken(`{
    const crypto = require('node:crypto');
    let objects = 0;
    for (const name of ['hash', 'createHash']) {
      const real = crypto[name];
      if (real) crypto[name] = (...parameters) => { if (++objects >= 100) { ${what} } return real(...parameters); };
    }
  }\n`);
}
