import { createHash } from 'node:crypto';
import type { ContentFilter, FileOnDisk } from '../git/convert/content-filter.js';
import type { BlobCopier } from '../git/objects/object.js';
import type { RepoPath } from '../git/paths.js';
import { isLfsOid, parsePointer, pointerText, POINTER_LIMIT, type LfsObject } from './pointer.js';
import type { LfsStore } from './store.js';
import { KbError } from '../errors.js';

/**
 * What `filter=lfs` means: the repository has a pointer where the file has the content.
 *
 * Invariant: a pointer is never rewritten. A file that holds one, because its content could not be had or because
 * somebody wrote it, goes into the repository byte for byte. (test: "a pointer that lies there is committed as it is")
 */
export class LfsFilter implements ContentFilter {
  constructor(
    private readonly store: LfsStore,
    /** Files are to stay pointers (`GIT_LFS_SKIP_SMUDGE`), also where their content is here. */
    private readonly leavesPointers: boolean,
  ) {}

  toBlob(_path: RepoPath, file: FileOnDisk, keep: boolean): Buffer {
    if (file.size < POINTER_LIMIT) {
      const pieces: Buffer[] = [];
      file.copy((piece) => pieces.push(Buffer.from(piece)));
      const data = Buffer.concat(pieces);
      // An empty file stands for itself. Source: docs/spec.md of git-lfs, "The Pointer".
      if (data.length === 0 || parsePointer(data) !== undefined) return data;
    }
    return pointerText(keep ? this.keep(file) : identify(file));
  }

  toFile(_path: RepoPath, blob: Buffer): Buffer | BlobCopier {
    const pointer = parsePointer(blob);
    if (pointer === undefined || pointer.hasExtensions || this.leavesPointers || !this.store.has(pointer)) return blob;
    return (write) => this.store.copy(pointer, write);
  }

  private keep(file: FileOnDisk): LfsObject {
    const incoming = this.store.receive();
    try {
      file.copy((piece) => incoming.write(piece));
      return incoming.finish();
    } catch (error) {
      incoming.abort();
      throw error;
    }
  }
}

function identify(file: FileOnDisk): LfsObject {
  const hash = createHash('sha256');
  let size = 0;
  file.copy((piece) => {
    hash.update(piece);
    size += piece.length;
  });
  const oid = hash.digest('hex');
  if (!isLfsOid(oid)) throw new KbError('E_INTERNAL', 'SHA-256 gave no id');
  return { oid, size };
}
