import { join } from 'node:path';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { UntrackedCache, type UntrackedCacheOptions } from '../../src/git/worktree/untracked-cache.js';

/** Longer than any step of Linux's clock for time stamps. */
const SETTLED_MS = 15;

/** Of a repository's root; one that is written after every listing, and does not wait long for folders to settle. */
export function openCache(
  root: string,
  disk: Disk = nodeDisk,
  over: Partial<UntrackedCacheOptions> = {},
): UntrackedCache | undefined {
  return UntrackedCache.open(disk, {
    file: cacheFile(root),
    root,
    uid: process.getuid?.(),
    wall: () => Date.now(),
    monotonic: () => performance.now(),
    worthListings: 1,
    settledMs: SETTLED_MS,
    ...over,
  });
}

export function cacheFile(root: string): string {
  return join(root, '.git', 'kb', 'untracked');
}

/** Until what was just changed counts as settled. */
export function settle(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SETTLED_MS * 2);
}
