/** Bounds on what a repository, hostile or damaged, can make kb spend. */
export interface ObjectLimits {
  /** Bytes of one inflated object. A blob beyond it is refused, not half read. A whole blob passes piece by piece. */
  readonly maxObjectBytes: number;
  /** Bytes of one commit, tag or tree: these are always held in memory. */
  readonly maxStructuredBytes: number;
  /**
   * Bytes of a received delta, of its base and of what it makes: all three are in memory at once, and a delta of ten
   * bytes can make any size of it.
   */
  readonly maxDeltaBytes: number;
  /** Deltas on the way from an object to its whole base. Git itself writes at most 4,095. */
  readonly maxDeltaDepth: number;
  /** Bytes of one received pack. */
  readonly maxPackBytes: number;
  /** Objects in one received pack. */
  readonly maxPackObjects: number;
}

export const DEFAULT_LIMITS: ObjectLimits = {
  maxObjectBytes: 512 * 1024 ** 2,
  maxStructuredBytes: 64 * 1024 ** 2,
  maxDeltaBytes: 100 * 1024 ** 2,
  maxDeltaDepth: 4095,
  maxPackBytes: 64 * 1024 ** 3,
  maxPackObjects: 50_000_000,
};

/** Entries of one tree. */
export const MAX_TREE_ENTRIES = 500_000;
/** Folders inside folders; git's own `core.maxTreeDepth`. */
export const MAX_TREE_DEPTH = 2048;
/** Files that one walk may visit: a few small trees that name each other can stand for 10^10 files. */
export const MAX_WALKED_FILES = 500_000;
