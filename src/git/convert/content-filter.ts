import type { BlobCopier } from '../objects/object.js';
import type { RepoPath } from '../paths.js';

/** A file on disk, to be read piece by piece: attachments may be larger than memory. */
export interface FileOnDisk {
  /** Bytes. */
  readonly size: number;
  /** Passes the content on; each piece is only valid during the call. @throws when the file changes meanwhile */
  copy(write: (piece: Buffer) => void): void;
}

/**
 * What stands between file and blob where `.gitattributes` says `filter=NAME`. Git runs a program that the user has
 * configured; kb runs none, and has code of its own for the names that it knows (`lfs`).
 *
 * Both directions are synchronous and touch no network: they are called in the middle of a commit, a status, or a
 * checkout. What has to be fetched for `toFile` is fetched before the checkout begins (`Conversions.pathsWithFilter`).
 */
export interface ContentFilter {
  /**
   * What git calls clean: what the blob of this file holds. Must give the same bytes for the same content, whenever it is
   * asked; `status` compares by it.
   * @param keep the blob is about to be committed: what it stands for must be durable when this returns
   * @throws KbError E_UNSAFE_STATE when the file must not be committed, E_STORAGE
   */
  toBlob(path: RepoPath, file: FileOnDisk, keep: boolean): Buffer;
  /**
   * What git calls smudge: what the file of this blob holds.
   * @returns the blob itself where what it stands for is not here: the file then holds what the repository holds
   */
  toFile(path: RepoPath, blob: Buffer): Buffer | BlobCopier;
}
