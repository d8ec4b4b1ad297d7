import type { Oid } from '../../git/ids.js';
import { piecesOf, type Pieces } from '../../merge/likeness.js';

/** Of the files whose pieces are in memory, bytes. */
const MOST_HELD = 64 * 1024 * 1024;

/**
 * What files consist of, each looked at once: of many commits that are replayed, every one may meet the same renames.
 * Bounded: when there is too much of it, it begins anew.
 */
export class KnownPieces {
  private readonly known = new Map<Oid, Pieces | undefined>();
  private held = 0;

  constructor(private readonly most = MOST_HELD) {}

  /** @param read gives undefined for what is not to be compared */
  of(oid: Oid, read: (oid: Oid) => Buffer | undefined): Pieces | undefined {
    if (this.known.has(oid)) return this.known.get(oid);
    const data = read(oid);
    this.held += data?.length ?? 0;
    if (this.held > this.most) {
      this.known.clear();
      this.held = data?.length ?? 0;
    }
    const pieces = data === undefined ? undefined : piecesOf(data);
    this.known.set(oid, pieces);
    return pieces;
  }
}
