import { isUtf8 } from 'node:buffer';

/** How far git looks for a NUL byte before it calls a file binary (gitattributes(5), "diff": xdiff-interface's first few bytes). */
const BINARY_PROBE_BYTES = 8000;

/** Beyond this a file is no text that a person merges by lines; bounds the memory of one merge. */
export const LARGEST_TEXT_BYTES = 64 * 1024 * 1024;

/** What stands in the repository for a file of Git LFS: lines of it put together are no pointer, or one to nothing. */
const POINTER = Buffer.from('version https://git-lfs.github.com/spec/v1\n');
const POINTER_LIMIT = 1024;

export function isPointer(data: Uint8Array): boolean {
  return data.length < POINTER_LIMIT && POINTER.equals(data.subarray(0, POINTER.length));
}

export type ContentKind = 'text' | 'binary' | 'encoding';

/**
 * Whether a file may be merged line by line. `binary`: a NUL among its first 8000 bytes (git's rule) or
 * larger than {@link LARGEST_TEXT_BYTES}. `encoding`: not UTF-8; its lines may mean something else than
 * their bytes seem to say (UTF-16 without NUL, Shift JIS), so a merge of them would be a guess. What a pointer of Git
 * LFS stands for is binary too.
 */
export function contentKind(data: Uint8Array): ContentKind {
  if (isBinary(data) || isPointer(data)) return 'binary';
  return isUtf8(data) ? 'text' : 'encoding';
}

/** A NUL among the first 8000 bytes, or too large to be looked at line by line. */
export function isBinary(data: Uint8Array): boolean {
  return data.length > LARGEST_TEXT_BYTES || data.subarray(0, BINARY_PROBE_BYTES).includes(0);
}
