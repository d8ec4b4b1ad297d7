/** Bounds on what a repository, hostile or damaged, can make kb spend. */
export interface ObjectLimits {
  /** Bytes of one inflated object. A blob beyond it is refused, not half read. */
  readonly maxObjectBytes: number;
  /** Bytes of one commit, tag or tree: these are always held in memory. */
  readonly maxStructuredBytes: number;
  /** Deltas on the way from an object to its whole base. Git itself writes at most 4,095. */
  readonly maxDeltaDepth: number;
  /** Bytes of one received pack. */
  readonly maxPackBytes: number;
  /** Objects in one received pack. */
  readonly maxPackObjects: number;
}

export const DEFAULT_LIMITS: ObjectLimits = {
  maxObjectBytes: 1024 ** 3,
  maxStructuredBytes: 256 * 1024 ** 2,
  maxDeltaDepth: 4095,
  maxPackBytes: 64 * 1024 ** 3,
  maxPackObjects: 50_000_000,
};

/** Entries of one tree. */
export const MAX_TREE_ENTRIES = 1_000_000;
/** Folders inside folders; git's own `core.maxTreeDepth`. */
export const MAX_TREE_DEPTH = 2048;
/** Files that one walk may visit: a few small trees that name each other can stand for 10^10 files. */
export const MAX_WALKED_FILES = 5_000_000;
