import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomNumbers } from '../../bench/generate.js';
import { isKbError } from '../../src/errors.js';
import type { Oid } from '../../src/git/ids.js';
import { cloneKb } from '../../src/kb/clone.js';
import { openKb } from '../../src/kb/open.js';
import { surroundings } from '../../src/kb/surroundings.js';
import { sync } from '../../src/kb/sync.js';
import { DAMAGES } from '../support/damaged-pack.js';
import { makeTemporaryDirectory } from '../support/native-git.js';
import {
  commit,
  deltaAgainst,
  object,
  pack,
  repeating,
  tree,
  whole,
  zeros,
  type Entry,
} from '../support/pack-maker.js';
import { startPackServer, type PackServer } from '../support/pack-server.js';

const EVERY = 1000;
const BLOBS = 40;
const IDENTITY = { GIT_AUTHOR_NAME: 'Ann Author', GIT_AUTHOR_EMAIL: 'ann@example.com' };

/** A pack of 80 kB with all that packs have: trees, blobs large and small, one that streams, and deltas. */
function contents(parent?: Oid): { tip: ReturnType<typeof object>; entries: Entry[] } {
  const random = randomNumbers(7);
  const noise = (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
  const blobs = Array.from({ length: BLOBS }, () => object('blob', noise(1800)));
  const text = Buffer.from('the same again and again\n'.repeat(100));
  const base = object('blob', text);
  const made = object('blob', Buffer.concat([text, text, Buffer.from('end')]));
  const large = object('blob', Buffer.alloc(1_200_000));
  let baseAt = 0;
  const based: Entry = { ...base, head: (offset) => base.head((baseAt = offset)) };
  const delta = repeating(text.length, 2, 'end');
  const { body } = deltaAgainst(0, delta);
  const derived: Entry = { head: (offset) => deltaAgainst(baseAt, delta).head(offset), body };
  const files = [...blobs, base, made, large].map(({ oid }, number) => {
    return { mode: '100644', name: `n${String(number).padStart(3, '0')}`, oid };
  });
  const folder = object('tree', tree(files));
  const top = object('tree', tree([{ mode: '40000', name: 'notes', oid: folder.oid }]));
  const tip = object('commit', commit(top.oid, parent));
  return {
    tip,
    entries: [tip, top, folder, ...blobs.slice(0, 20), based, derived, zeros(1_200_000), ...blobs.slice(20)],
  };
}

describe('a pack that was damaged on its way', () => {
  const { tip, entries } = contents();
  let server: PackServer;
  let intact: Buffer;
  let expected: Buffer[];
  const directory = join(makeTemporaryDirectory(), 'kb');

  beforeAll(async () => {
    intact = await whole(pack(entries));
    server = await startPackServer({ commit: tip.oid, pack: () => [intact] });
    const first = join(makeTemporaryDirectory(), 'kb');
    await clone(first);
    expected = filesOf(first);
    expect(expected).toHaveLength(BLOBS + 3);
    mkdirSync(directory);
  });
  afterAll(() => server.close());

  function clone(into: string): Promise<unknown> {
    return cloneKb(surroundings({ env: {} }), {
      url: server.url,
      directory: into,
      depth: 1,
      timeout: '60s',
      insecure: false,
    });
  }

  function filesOf(kb: string): Buffer[] {
    return readdirSync(join(kb, 'notes')).map((name) => readFileSync(join(kb, 'notes', name)));
  }

  /** Clones from a server that sends these bytes. A typed error and nothing left; or, where the damage means nothing, all. */
  async function expectRefused(bytes: Buffer): Promise<void> {
    server.offer = { commit: tip.oid, pack: () => [bytes] };
    const into = makeTemporaryDirectory();
    try {
      await clone(into);
    } catch (error) {
      if (!isKbError(error)) throw error;
      expect(['E_CORRUPT', 'E_NETWORK', 'E_USAGE']).toContain(error.code);
      expect(readdirSync(into)).toEqual([]);
      return;
    }
    expect(filesOf(into)).toEqual(expected);
  }

  const places = (): number[] => Array.from({ length: Math.floor(intact.length / EVERY) }, (_, place) => place * EVERY);

  it('cut off at every 1,000th byte', async () => {
    expect(places().length).toBeGreaterThan(70);
    for (const at of places()) await expectRefused(intact.subarray(0, at));
  });

  it('with a bit flipped in every 1,000th byte', async () => {
    for (const [number, at] of places().entries()) {
      const bytes = Buffer.from(intact);
      bytes[at] = (bytes[at] as number) ^ (1 << (number % 8));
      await expectRefused(bytes);
    }
  });

  it('with a bit flipped and the checksum made right again', async () => {
    for (const [number, at] of places().entries()) {
      const bytes = Buffer.from(intact);
      bytes[at] = (bytes[at] as number) ^ (1 << (number % 8));
      const end = bytes.length - 20;
      createHash('sha1').update(bytes.subarray(0, end)).digest().copy(bytes, end);
      await expectRefused(bytes);
    }
  });

  it.each(Object.entries(DAMAGES))('%s, in a sync: a typed error, and the KB stays as it was', async (_, damaged) => {
    const blob = object('blob', Buffer.from('first\n'));
    const top = object('tree', tree([{ mode: '100644', name: 'first', oid: blob.oid }]));
    const before = object('commit', commit(top.oid));
    const after = contents(before.oid);
    const news = await whole(pack(after.entries));
    const first = { commit: before.oid, pack: () => pack([before, top, blob]) };
    const freshClone = async (): Promise<string> => {
      server.offer = first;
      const kb = makeTemporaryDirectory();
      await clone(kb);
      return kb;
    };
    const pull = async (kb: string, bytes: Buffer): Promise<unknown> => {
      server.offer = { commit: after.tip.oid, pack: () => [bytes] };
      return sync(await openKb(surroundings({ env: IDENTITY }), { kb }), { direction: 'pull', commit: true });
    };

    let kb = await freshClone();
    const stored = objectsOf(kb);
    let refused = 0;
    // a clone and a sync receive by the same code: fewer places show that what follows is as careful
    const some = places().filter((_at, number) => number % 3 === 0);
    for (const at of some) {
      try {
        await pull(kb, damaged(news, at));
      } catch (error) {
        if (!isKbError(error)) throw error;
        expect(['E_CORRUPT', 'E_NETWORK', 'E_USAGE']).toContain(error.code);
        expect(readdirSync(kb).sort()).toEqual(['.git', 'first']);
        expect(objectsOf(kb)).toEqual(stored);
        refused += 1;
        continue;
      }
      // the damage meant nothing
      expect(filesOf(kb)).toEqual(expected);
      kb = await freshClone();
    }
    expect(refused).toBeGreaterThan(some.length / 2);
    await pull(kb, news);
    expect(filesOf(kb)).toEqual(expected);
  });
});

/** Nothing of a pack that was refused may stay, complete or not. */
function objectsOf(kb: string): string[] {
  return readdirSync(join(kb, '.git/objects'), { recursive: true, encoding: 'utf8' }).sort();
}
