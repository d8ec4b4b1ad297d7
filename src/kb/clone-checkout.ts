import type { Oid } from '../git/ids.js';
import { IndexLock } from '../git/index/index-file.js';
import { parseCommit } from '../git/objects/commit.js';
import type { LargeBlob, ObjectSource, ObjectType } from '../git/objects/object.js';
import type { BlobSource } from '../git/worktree/apply.js';
import { FreshCheckout, type FreshProgress, type Rest } from '../git/worktree/fresh-checkout.js';
import type { RepoPath } from '../git/paths.js';
import type { Worktree } from '../git/worktree/worktree.js';
import type { Steps } from '../git/steps.js';

/**
 * The files of a clone. A pack of one commit brings what will be files, and (as git orders them) each tree before the
 * blobs that it names: so they are written while they are in memory, inflated and looked up once, while the next ones
 * are on their way; those over 1 MiB piece by piece. The blobs of a partial clone come in a pack of their own, when all
 * trees are known. What came in another order, and the files of a clone with a history, are written after the pack, from
 * it.
 */
export class CloneCheckout {
  private files: FreshCheckout | undefined;

  /**
   * @param want the commit; of a tag its own object, then the files are known when the pack is here
   * @param isOneCommit the pack has this commit only
   * @param volumeBlock bytes that the smallest file takes
   * @param onTree when more files are known, before the first of them is made. What it throws ends the clone
   */
  constructor(
    private readonly worktree: Worktree,
    private readonly want: Oid,
    private readonly isOneCommit: boolean,
    private readonly volumeBlock: number,
    private readonly onTree: () => void,
  ) {}

  /** Bytes on disk of files that were written, at most of those that are about to be, and files known to follow. */
  get onDisk(): { readonly written: number; readonly soon: number; readonly files: number } {
    if (this.files === undefined) return { written: 0, soon: 0, files: 0 };
    const { writtenBytes: written, soonBytes: soon, progress } = this.files;
    return { written, soon, files: progress.total - progress.done };
  }

  /** An object of the pack, of so many in all. @param data only read during the call @throws KbError E_UNSAFE_STATE, E_CORRUPT, E_STORAGE */
  take(oid: Oid, type: ObjectType, data: Buffer, total: number): void {
    if (type === 'commit') {
      if (!this.isOneCommit || oid !== this.want) return;
      this.files ??= new FreshCheckout(this.worktree, parseCommit(data).tree, this.volumeBlock, total);
    } else if (type === 'tree' && this.files !== undefined) {
      this.files.takeTree(oid, data);
      this.onTree();
    } else if (type === 'blob') this.files?.takeBlob(oid, data);
  }

  /** A blob of the pack over 1 MiB, of so many bytes. @returns undefined: it is written after the pack, from it */
  takeLarge(size: number): LargeBlob | undefined {
    return this.files?.takeLarge(size);
  }

  /** What did not come by. More may come after it, and then it is asked for again. @throws KbError E_UNSAFE_STATE, E_CORRUPT */
  rest(objects: ObjectSource, root: Oid): Rest {
    this.files ??= new FreshCheckout(this.worktree, root, this.volumeBlock);
    return this.files.rest(objects);
  }

  /** After `rest`: the files to come that go through this filter. */
  filtered(name: string, objects: ObjectSource): Iterable<{ readonly path: RepoPath; readonly oid: Oid }> {
    return (this.files as FreshCheckout).filtered(name, objects);
  }

  /** After `rest`. @throws KbError E_CORRUPT; the file system's error; what `onFile` throws */
  finish(objects: BlobSource, onFile: (progress: FreshProgress) => void): Steps<void> {
    return (this.files as FreshCheckout).finish(objects, onFile);
  }

  /** After `finish`. */
  writeIndex(): void {
    const { disk, gitDir } = this.worktree;
    const lock = IndexLock.acquire(disk, gitDir);
    try {
      const files = this.files as FreshCheckout;
      const entries = files.entries();
      if (entries.count > 0) lock.commitFresh(entries, files.tree);
    } finally {
      lock.release();
    }
  }

  /** To be called in any case, before what was written is removed. */
  async close(): Promise<void> {
    await this.files?.close();
  }
}
