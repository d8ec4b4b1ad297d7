import { createHash } from 'node:crypto';
import { KbError } from '../../errors.js';
import type { ContentFilter, FileOnDisk } from './content-filter.js';

const VERSION = 'version https://git-lfs.github.com/spec/v1\n';
/** Pointers are smaller; Git LFS itself looks no further. Bytes. */
const MAX_POINTER_BYTES = 1024;

/**
 * Files of Git LFS, as far as they are pointers: a pointer stays one, in both directions. What a pointer stands for is
 * compared by its hash, but cannot be committed from here.
 * Source: the Git LFS specification, "The Pointer" (docs/spec.md).
 */
export const LFS_POINTERS: ContentFilter = {
  toBlob: (path, file, keep) => {
    const content = wholePointer(file);
    if (content !== undefined) return content;
    if (!keep) return pointerTo(file);
    throw new KbError(
      'E_UNSAFE_STATE',
      `${JSON.stringify(path)} is kept by Git LFS, and its new content cannot be committed by kb`,
      {
        hint: 'commit it with git and git-lfs, then: kb sync',
        details: { path },
      },
    );
  },
  toFile: (_path, blob) => blob,
};

/** An empty file stands for itself. */
function wholePointer(file: FileOnDisk): Buffer | undefined {
  if (file.size > MAX_POINTER_BYTES) return undefined;
  const pieces: Buffer[] = [];
  file.copy((piece) => pieces.push(Buffer.from(piece)));
  const content = Buffer.concat(pieces);
  return content.length === 0 || content.toString('latin1').startsWith(VERSION) ? content : undefined;
}

function pointerTo(file: FileOnDisk): Buffer {
  const hash = createHash('sha256');
  file.copy((piece) => hash.update(piece));
  return Buffer.from(`${VERSION}oid sha256:${hash.digest('hex')}\nsize ${file.size}\n`);
}
