import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryProbe } from '../../bench/measure.js';
import type { Oid } from '../../src/git/ids.js';
import { hashObject } from '../../src/git/objects/object.js';
import { kb } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { commit, deltaAgainst, object, pack, repeating, tree, zeros, type Entry } from '../support/pack-maker.js';
import { startPackServer, type Offer, type PackServer } from '../support/pack-server.js';

const MB = 1_000_000;
const MOST_MEMORY_MIB = 400;
const NOBODY = 'b'.repeat(40) as Oid;

/** Makes a commit, on top of the one that is given. */
type Bomb = (parent?: Oid) => Offer;

/** A commit of this tree, with all that it takes. */
function offer(root: Buffer, others: readonly Entry[], parent?: Oid): Offer {
  const top = object('tree', root);
  const tip = object('commit', commit(top.oid, parent));
  return { commit: tip.oid, pack: () => pack([tip, top, ...others]) };
}

function oneFile(oid: Oid): Buffer {
  return tree([{ mode: '100644', name: 'file', oid }]);
}

/** `count` files, all of one content, in one folder. */
function crowd(count: number, parent?: Oid): Offer {
  const blob = object('blob', Buffer.from('x'));
  const names = Array.from({ length: count }, (_, number) => `n${String(number).padStart(7, '0')}`);
  return offer(tree(names.map((name) => ({ mode: '100644', name, oid: blob.oid }))), [blob], parent);
}

/** Folders in folders, `count` deep, each with the one below as many times as `wide` says. */
function nested(count: number, wide = 1, parent?: Oid): Offer {
  const blob = object('blob', Buffer.from('x'));
  let below = object('tree', oneFile(blob.oid));
  const folders: Entry[] = [blob];
  for (let depth = 0; depth < count; depth += 1) {
    folders.push(below);
    const names = Array.from({ length: wide }, (_, number) => `d${number}`);
    below = object('tree', tree(names.map((name) => ({ mode: '40000', name, oid: below.oid }))));
  }
  const tip = object('commit', commit(below.oid, parent));
  return { commit: tip.oid, pack: () => pack([tip, below, ...folders]) };
}

/** Each version of a file one letter longer than the one before, as a delta against it. */
function chain(length: number, parent?: Oid): Offer {
  const first = Buffer.alloc(1000, 'a');
  const top = object('tree', oneFile(hashObject('blob', Buffer.alloc(1000 + length, 'a'))));
  const tip = object('commit', commit(top.oid, parent));
  return {
    commit: tip.oid,
    pack: () => {
      // where each entry began is known when the next one is written
      let previous = 0;
      const noted = (entry: Entry): Entry => ({ ...entry, head: (offset) => note(offset, entry.head(offset)) });
      const note = (offset: number, head: Buffer): Buffer => {
        previous = offset;
        return head;
      };
      const deltas = Array.from({ length }, (_, number): Entry => {
        const delta = repeating(1000 + number, 1, 'a');
        const { body } = deltaAgainst(0, delta);
        return noted({ head: (offset) => deltaAgainst(previous, delta).head(offset), body });
      });
      return pack([tip, top, noted(object('blob', first)), ...deltas]);
    },
  };
}

/** Twice a file of zeros as a delta of a few bytes against it. */
function doubled(bytes: number, parent?: Oid): Offer {
  const top = object('tree', oneFile(NOBODY));
  const tip = object('commit', commit(top.oid, parent));
  return {
    commit: tip.oid,
    pack: () => {
      let base = 0;
      const whole = zeros(bytes);
      const head = (offset: number): Buffer => whole.head((base = offset));
      const delta = repeating(bytes, 2);
      const { body } = deltaAgainst(0, delta);
      return pack([tip, top, { ...whole, head }, { head: (at) => deltaAgainst(base, delta).head(at), body }]);
    },
  };
}

const BOMBS: readonly (readonly [name: string, bomb: Bomb, message: RegExp])[] = [
  ['600 MB of zeros in one object', (on) => offer(oneFile(NOBODY), [zeros(600 * MB)], on), /600000000 bytes .* limit/],
  [
    '600 MB of zeros that claim to be 100 kB',
    (on) => offer(oneFile(NOBODY), [zeros(600 * MB, 100_000)], on),
    /longer than/,
  ],
  [
    '600 MB of zeros that claim to be 2 MB',
    (on) => offer(oneFile(NOBODY), [zeros(600 * MB, 2 * MB)], on),
    /longer than/,
  ],
  [
    'a blob shorter than it claims',
    (on) => offer(oneFile(NOBODY), [zeros(2 * MB, 3 * MB)], on),
    /shorter than|cut off/,
  ],
  ['a folder of 10⁶ files', (on) => crowd(1_000_000, on), /more than 500000 entries/],
  ['folders 3,000 deep', (on) => nested(3000, 1, on), /nested more than 2048 deep/],
  ['folders that stand for 10¹² files', (on) => nested(12, 10, on), /more than 500000 files/],
  ['a chain of 10,000 deltas', (on) => chain(10_000, on), /delta chain is longer than 4095/],
  ['a delta that doubles 99 MB', (on) => doubled(99 * MB, on), /198000000 bytes .* limit/],
  ['a delta against 300 MB', (on) => doubled(300 * MB, on), /300000000 bytes .* limit/],
];

describe('a remote that sends a bomb', () => {
  let server: PackServer;

  beforeAll(async () => {
    server = await startPackServer(crowd(1));
  });
  afterAll(() => server.close());

  /** @returns what was said, after seeing that memory stayed bounded */
  async function run(directory: string, args: readonly string[], exitCode: number): Promise<Record<string, unknown>> {
    const report = join(makeTemporaryDirectory(), 'memory');
    const done = await kb(directory, [...args, '--json'], { env: { NODE_OPTIONS: memoryProbe(report) } });
    expect(done.json()).toHaveProperty('ok', exitCode === 0);
    expect(done.code).toBe(exitCode);
    const memory = Number(readFileSync(report, 'utf8')) / 1024;
    expect(memory).toBeGreaterThan(20);
    expect(memory).toBeLessThanOrEqual(MOST_MEMORY_MIB);
    if (process.env['KB_SHOW_MEMORY'] !== undefined) console.log(expect.getState().currentTestName, Math.round(memory));
    return done.json();
  }

  async function clone(bomb: Offer, exitCode: number): Promise<Record<string, unknown>> {
    server.offer = bomb;
    const root = makeTemporaryDirectory();
    mkdirSync(join(root, 'target'));
    const said = await run(root, ['clone', server.url, 'target'], exitCode);
    if (exitCode !== 0) expect(readdirSync(join(root, 'target'))).toEqual([]);
    return said;
  }

  it.each(BOMBS)('%s, in a clone: exit 13, bounded memory, nothing left', async (_, bomb, message) => {
    expect(await clone(bomb(), 13)).toMatchObject({
      error: { code: 'E_CORRUPT', message: expect.stringMatching(message) as string },
    });
  });

  it.each(BOMBS)('%s, in a sync: exit 13, bounded memory, and the KB as it was', async (_, bomb, message) => {
    const before = crowd(3);
    server.offer = before;
    const root = makeTemporaryDirectory();
    await run(root, ['clone', server.url, 'target'], 0);
    const target = join(root, 'target');
    const files = filesOf(target);

    server.offer = bomb(before.commit);
    expect(await run(target, ['sync'], 13)).toMatchObject({
      error: { code: 'E_CORRUPT', message: expect.stringMatching(message) as string },
    });
    expect(filesOf(target)).toEqual(files);
    expect(await run(target, ['status'], 0)).toMatchObject({ head: before.commit, changes: [] });
    expect(await run(target, ['note', '--no-push', '--no-pull', '--path', 'mine.md', 'mine'], 0)).toMatchObject({
      landed: false,
    });

    server.offer = crowd(5, before.commit);
    expect(await run(target, ['sync', '--pull-only'], 0)).toMatchObject({ pulled: 1 });
    expect(readdirSync(target).filter((name) => name !== '.git')).toHaveLength(6);
    await run(target, ['gc'], 0);
    if (nativeGit.available) git(target, ['fsck', '--strict']);
  });

  it('what is only large is cloned: 200 MB in one file, a chain of 4,000 deltas', async () => {
    const oid = hashObject('blob', Buffer.alloc(200 * MB));
    expect(await clone(offer(oneFile(oid), [zeros(200 * MB)]), 0)).toMatchObject({ status: 'cloned', fileCount: 1 });
    expect(await clone(chain(4000), 0)).toMatchObject({ status: 'cloned', fileCount: 1 });
  });
});

/**
 * What a fetch of whole objects leaves, though their commit is refused, as with native git: the objects until a `kb gc`,
 * and where the remote's branch was seen.
 */
const FETCHED =
  /^\.git\/(?:objects\/(?:[0-9a-f]{2}(?:\/[0-9a-f]{38})?|pack\/pack-[0-9a-f]{40}\.(?:pack|idx))|(?:logs\/)?refs\/remotes\/origin\/main)$/;

/** All files of a KB with what they hold; without what was fetched, and what kb notes down about its last sync. */
function filesOf(kb: string): string[] {
  return readdirSync(kb, { recursive: true, withFileTypes: true })
    .map((entry) => ({ entry, path: relative(kb, join(entry.parentPath, entry.name)) }))
    .filter(({ path }) => !FETCHED.test(path) && !path.startsWith(join('.git', 'kb')))
    .map(({ entry, path }) => (entry.isFile() ? `${path}: ${readFileSync(join(kb, path), 'latin1')}` : path))
    .sort();
}
