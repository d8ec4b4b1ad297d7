import { expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/ids.js';
import { KnownPieces } from '../../../../src/kb/renames/known-pieces.js';

const reading = (size: number): { read: (oid: Oid) => Buffer; seen: string[] } => {
  const seen: string[] = [];
  const read = (oid: Oid): Buffer => {
    seen.push(oid);
    return Buffer.alloc(size, oid);
  };
  return { read, seen };
};

it('reads each file once', () => {
  const { read, seen } = reading(10);
  const known = new KnownPieces();
  for (const name of ['a', 'b', 'a', 'b']) known.of(name as Oid, read);
  expect(seen).toEqual(['a', 'b']);
});

it('holds no more than it may', () => {
  const { read, seen } = reading(10);
  const known = new KnownPieces(25);
  for (const name of ['a', 'b', 'c', 'c', 'a']) known.of(name as Oid, read);
  expect(seen).toEqual(['a', 'b', 'c', 'a']);
});

it('remembers what is not to be compared', () => {
  let reads = 0;
  const known = new KnownPieces();
  const read = (): undefined => void (reads += 1);
  expect([known.of('a' as Oid, read), known.of('a' as Oid, read), reads]).toEqual([undefined, undefined, 1]);
});
