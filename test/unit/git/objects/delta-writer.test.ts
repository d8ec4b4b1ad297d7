import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/ids.js';
import { makeBlobDelta, makeTreeDelta } from '../../../../src/git/objects/delta-writer.js';
import { applyDelta } from '../../../../src/git/objects/delta.js';
import { sharedEnd, sharedLength } from '../../../../src/git/objects/shared-length.js';
import { serializeTree } from '../../../../src/git/objects/tree.js';

const tree = (names: Iterable<string>, seed = 1): Buffer =>
  serializeTree(
    [...names].map((name) => ({
      mode: name.endsWith('d') ? 0o040000 : 0o100644,
      name,
      oid: `${seed}`.repeat(40).slice(0, 40) as Oid,
    })),
  );

describe('makeTreeDelta', () => {
  it('makes a few bytes of one change among thousands', () => {
    const names = Array.from({ length: 5000 }, (_, index) => `note-${index}.md`);
    const [base, target] = [tree(names), tree([...names, 'note-25x.md'])];
    const delta = makeTreeDelta(base, target);
    expect(delta.length).toBeLessThan(80);
    expect(applyDelta(base, delta, 1 << 24)).toEqual(target);
  });

  it('makes what it stands for, whatever changes', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-e]{1,3}[.d]?$/), { maxLength: 30 });
    fc.assert(
      fc.property(names, names, fc.integer({ min: 1, max: 2 }), (before, after, seed) => {
        const [base, target] = [tree(before), tree(after, seed)];
        expect(applyDelta(base, makeTreeDelta(base, target), 1 << 20)).toEqual(target);
      }),
      { numRuns: 300 },
    );
  });
});

describe('makeBlobDelta', () => {
  it.each([
    ['', ''],
    ['', 'new'],
    ['old', ''],
    ['same', 'same'],
    ['aaa', 'aaaaaa'],
    ['aaaaaa', 'aaa'],
    ['start end', 'start middle end'],
    ['x'.repeat(300_000), `${'x'.repeat(150_000)}y${'x'.repeat(170_000)}`],
    ['z'.repeat(0x1000000 + 5), `${'z'.repeat(0x1000000 + 5)}!`],
  ])('%#', (before, after) => {
    const [base, target] = [Buffer.from(before), Buffer.from(after)];
    const delta = makeBlobDelta(base, target);
    expect(applyDelta(base, delta, 1 << 25).equals(target)).toBe(true);
  });

  it('makes a few bytes of an append', () => {
    const base = Buffer.alloc(100_000, 'line\n');
    expect(makeBlobDelta(base, Buffer.concat([base, Buffer.from('- more\n')])).length).toBeLessThan(30);
  });
});

it('sharedLength and sharedEnd count to the byte', () => {
  for (const length of [0, 1, 4095, 4096, 4097, 9000]) {
    const a = Buffer.concat([Buffer.alloc(length, 'a'), Buffer.from('b')]);
    const b = Buffer.concat([Buffer.alloc(length, 'a'), Buffer.from('c')]);
    expect(sharedLength(a, 0, b, 0)).toBe(length);
    expect(sharedLength(a, 0, a, 0)).toBe(length + 1);
    expect(sharedEnd(Buffer.from(a).reverse(), Buffer.from(b).reverse(), length + 1)).toBe(length);
    expect(sharedEnd(a, a, length)).toBe(length);
  }
});
