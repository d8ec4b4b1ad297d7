import crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { verifyCommit } from '../../../../src/git/objects/commit.js';
import { applyDelta } from '../../../../src/git/objects/delta.js';
import { hashObject, type ObjectType } from '../../../../src/git/objects/object.js';
import { makeObjectRing, MADE, type ObjectRing } from '../../../../src/git/objects/object-ring.js';
import { TYPE_NUMBERS } from '../../../../src/git/objects/pack-entry.js';
import { verifyTree } from '../../../../src/git/objects/tree.js';
import { repeating } from '../../../support/pack-maker.js';
import { randomNumbers } from '../../../../bench/generate.js';

/** As the property tests': the same cases on every run. */
const SEED = Number(process.env['KB_SEED'] ?? 20261120);
const KIB = 1024;
const id = Buffer.alloc(20);

function whole(ring: ObjectRing, index: number, type: ObjectType, data: Buffer): number {
  return ring.whole(index, TYPE_NUMBERS[type], data, 0, data.length, id, 0);
}

function delta(ring: ObjectRing, index: number, base: number, data: Buffer): number {
  return ring.delta(index, TYPE_NUMBERS.blob, base, data, 0, data.length, id, 0);
}

function entry(mode: string, name: string | Buffer, byte = 1): Buffer {
  return Buffer.concat([Buffer.from(`${mode} `), Buffer.from(name), Buffer.of(0), Buffer.alloc(20, byte)]);
}

const WHO = 'Ann <ann@example.com> 1700000000 +0100';
const ID = 'a'.repeat(40);

function isAccepted(type: ObjectType, data: Buffer): boolean {
  try {
    if (type === 'tree') verifyTree(data);
    else verifyCommit(data);
    return true;
  } catch {
    return false;
  }
}

describe('makeObjectRing', () => {
  it.each([true, false])('names objects, and what deltas make of them; hash at once: %s', (isAtOnce) => {
    const ring = makeObjectRing(isAtOnce ? crypto : { createHash: crypto.createHash }, 64 * KIB, 8 * KIB);
    let before: Buffer = Buffer.from('first\n');
    expect(whole(ring, 0, 'blob', before)).toBe(MADE.named);
    for (let index = 1; index < 200; index++) {
      const change = repeating(before.length, index % 3, `and ${index}\n`.repeat(1 + (index % 10)));
      const made = applyDelta(before, change, 8 * KIB);
      if (made.length > 2 * KIB) {
        before = Buffer.from(`again ${index}\n`.repeat(index % 40));
        expect(whole(ring, index, 'blob', before)).toBe(MADE.named);
      } else {
        expect(delta(ring, index, index - 1, change)).toBe(MADE.named);
        before = made;
      }
      expect(id.toString('hex')).toBe(hashObject('blob', before));
    }
  });

  it('makes nothing of a base that it never had, that is gone, or whose place another one took', () => {
    const ring = makeObjectRing(crypto, 16 * KIB, 4 * KIB);
    const change = repeating(KIB, 1, 'x');
    expect(delta(ring, 1, 0, change)).toBe(MADE.unmade);
    whole(ring, 0, 'blob', Buffer.alloc(KIB));
    for (let index = 1; index < 14; index++) whole(ring, index, 'blob', Buffer.alloc(KIB, index));
    expect(delta(ring, 20, 0, change)).toBe(MADE.named);
    expect(id.toString('hex')).toBe(hashObject('blob', applyDelta(Buffer.alloc(KIB), change, 4 * KIB)));
    expect(delta(ring, 21, 0, change)).toBe(MADE.unmade);
    expect(delta(ring, 22, 13, change)).toBe(MADE.named);
    whole(ring, 22 + 128 * KIB, 'blob', Buffer.alloc(10));
    expect(delta(ring, 23, 22, repeating(KIB + 1, 1))).toBe(MADE.unmade);
  });

  it('makes nothing of a damaged delta, and nothing too large', () => {
    const ring = makeObjectRing(crypto, 64 * KIB, 4 * KIB);
    const base = Buffer.from('0123456789'.repeat(20));
    whole(ring, 0, 'blob', base);
    const sound = repeating(base.length, 1, 'end');
    expect(delta(ring, 1, 0, sound)).toBe(MADE.named);
    const sizes = sound.subarray(0, 4);
    const damaged: Record<string, Buffer> = {
      'for another base': repeating(base.length + 1, 1),
      'too large': repeating(base.length, 30),
      'cut off': sound.subarray(0, sound.length - 1),
      'without a size': sound.subarray(0, 1),
      empty: Buffer.alloc(0),
      'a size without an end': Buffer.alloc(12, 0xff),
      'a reserved command': Buffer.concat([sizes, Buffer.of(0)]),
      'a copy from outside': Buffer.concat([sizes, Buffer.of(0x91, 190, 50)]),
      'more than it says': Buffer.concat([sound, Buffer.of(1, 0x61)]),
      'less than it says': sound.subarray(0, sound.length - 4),
    };
    for (const [what, data] of Object.entries(damaged)) {
      expect([what, delta(ring, 2, 0, data)]).toEqual([what, MADE.unmade]);
      if (what !== 'too large') expect(() => applyDelta(base, data, 100 * KIB), what).toThrow();
    }
    expect(whole(ring, 3, 'blob', Buffer.alloc(4 * KIB + 1))).toBe(MADE.unmade);
    expect(delta(ring, 4, 0, sound)).toBe(MADE.named);
  });

  it('says plain of what vaults are made of', () => {
    const ring = makeObjectRing(crypto, 256 * KIB, 64 * KIB);
    const trees = [
      Buffer.alloc(0),
      Buffer.concat([
        entry('100644', '.gitattributes'),
        entry('100644', '.gitignore'),
        entry('40000', '.obsidian'),
        entry('100644', 'LICENSE'),
        entry('100644', 'LICENSE.md'),
        entry('40000', 'Ärger'),
        entry('40000', '✅ Done'),
        entry('100644', '日記.md'),
      ]),
      Buffer.concat([entry('100755', 'a'), entry('120000', 'b'), entry('160000', 'c'), entry('40000', 'd')]),
      Buffer.concat([entry('40000', 'a'), entry('100644', 'a0')]),
    ];
    const commits = [
      `tree ${ID}\nauthor ${WHO}\ncommitter ${WHO}\n\nfirst\n`,
      `tree ${ID}\nparent ${ID}\nparent ${ID}\nauthor ${WHO}\ncommitter ${WHO}\n\nmerge\n\0`,
      `tree ${ID}\nauthor ${WHO}\ncommitter ${WHO}\ngpgsig -----BEGIN\n signed\n -----END\n\nsigned\n`,
      `tree ${ID}\nauthor <> 0 +0000\ncommitter ${WHO}\n\n`,
    ];
    for (const tree of trees) {
      // "✅" begins like characters that nobody sees; it is looked at with more care.
      const isPlain = !tree.includes('✅');
      expect(whole(ring, 0, 'tree', tree)).toBe(isPlain ? MADE.named : MADE.unchecked);
      expect(isAccepted('tree', tree)).toBe(true);
    }
    for (const text of commits) expect(whole(ring, 0, 'commit', Buffer.from(text))).toBe(MADE.named);
    expect(whole(ring, 0, 'tag', Buffer.from('object'))).toBe(MADE.unchecked);
  });

  it('says plain of nothing that is refused', () => {
    const ring = makeObjectRing(crypto, 256 * KIB, 64 * KIB);
    const names = [
      '.git',
      '.GIT',
      '.giT ',
      '.git.',
      '.git:x',
      '.g\u200cit',
      '.',
      '..',
      'git~1',
      'GIT~1',
      'a\\.git',
      'a/b',
    ];
    names.push('\u200c.git', '\ufeff.git', '.gıt', '.git\u200d', '.g', '.gi', '');
    for (const name of names)
      for (const mode of ['100644', '40000', '120000']) {
        const tree = entry(mode, name);
        if (whole(ring, 0, 'tree', tree) === MADE.named) expect(isAccepted('tree', tree), `${mode} ${name}`).toBe(true);
      }
    for (const name of ['.gitmodules', '.GitModules ', 'gitmod~1', 'gi7eba~1', '~1000000', '\u200c.gitmodules'])
      expect(whole(ring, 0, 'tree', entry('120000', name)), name).toBe(MADE.unchecked);
    const twice = [entry('100644', 'a'), entry('100644', 'a.b'), entry('100644', 'a.b.c'), entry('40000', 'a')];
    expect(whole(ring, 0, 'tree', Buffer.concat(twice))).toBe(MADE.unchecked);
    for (const bad of ['0100644', '777777', '1006444', '', '10064x'])
      expect(whole(ring, 0, 'tree', entry(bad, 'a')), bad).toBe(MADE.unchecked);
    expect(whole(ring, 0, 'tree', entry('100644', 'a', 0))).toBe(MADE.unchecked);
  });

  it(`says plain of nothing that is refused, whatever bytes are changed (seed ${SEED})`, () => {
    const ring = makeObjectRing(crypto, 256 * KIB, 64 * KIB);
    const random = randomNumbers(SEED);
    const below = (most: number): number => Math.floor(random() * most);
    const tree = Buffer.concat([
      entry('100644', '.gitignore', 7),
      entry('100644', 'a'),
      entry('100644', 'a.b'),
      entry('40000', 'area'),
      entry('40000', 'git'),
      entry('120000', 'link', 46),
    ]);
    const commit = Buffer.from(`tree ${ID}\nparent ${ID}\nauthor ${WHO}\ncommitter ${WHO}\nencoding x\n\ntext\n`);
    const bytes = Buffer.from('\0\n /.<>\\~gGiItT01467aA\xe2\xef', 'latin1');
    const counts = { plain: 0, refused: 0 };
    for (let round = 0; round < 60_000; round++) {
      const type = round % 2 === 0 ? 'tree' : 'commit';
      const from = type === 'tree' ? tree : commit;
      let data: Buffer = Buffer.from(from);
      for (let change = 0; change <= below(3); change++) {
        const at = below(data.length);
        const kind = below(4);
        const put = Buffer.of(bytes[below(bytes.length)] as number);
        if (kind === 0) data[at] = put[0] as number;
        else if (kind === 1) data = Buffer.concat([data.subarray(0, at), put, data.subarray(at)]);
        else if (kind === 2) data = Buffer.concat([data.subarray(0, at), data.subarray(at + 1 + below(30))]);
        else data = Buffer.concat([data.subarray(0, at), data.subarray(below(at + 1))]);
      }
      const accepted = isAccepted(type, data);
      const isPlain = whole(ring, round, type, data) === MADE.named;
      if (isPlain && !accepted) expect.fail(`${type} ${JSON.stringify(data.toString('latin1'))}`);
      if (isPlain) counts.plain++;
      if (!accepted) counts.refused++;
    }
    expect(counts.plain).toBeGreaterThan(5000);
    expect(counts.refused).toBeGreaterThan(5000);
  });
});
