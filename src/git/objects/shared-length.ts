const BLOCK_BYTES = 4096;

/** How many bytes are the same in `a` from `aFrom` on and in `b` from `bFrom` on; block by block, as native code compares. */
export function sharedLength(a: Buffer, aFrom: number, b: Buffer, bFrom: number): number {
  const most = Math.min(a.length - aFrom, b.length - bFrom);
  let shared = 0;
  while (shared < most) {
    const size = Math.min(BLOCK_BYTES, most - shared);
    if (a.compare(b, bFrom + shared, bFrom + shared + size, aFrom + shared, aFrom + shared + size) !== 0) break;
    shared += size;
  }
  while (shared < most && a[aFrom + shared] === b[bFrom + shared]) shared++;
  return shared;
}

/** How many bytes are the same at the ends of both, at most `most`. */
export function sharedEnd(a: Buffer, b: Buffer, most: number): number {
  let shared = 0;
  while (shared < most) {
    const size = Math.min(BLOCK_BYTES, most - shared);
    const [inA, inB] = [a.length - shared, b.length - shared];
    if (a.compare(b, inB - size, inB, inA - size, inA) !== 0) break;
    shared += size;
  }
  while (shared < most && a[a.length - shared - 1] === b[b.length - shared - 1]) shared++;
  return shared;
}
