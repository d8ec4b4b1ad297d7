import { posix } from 'node:path';
import type { GitIndex } from '../../git/index/index-file.js';
import type { RepoPath } from '../../git/paths.js';

/** A file that `kb sync --on-conflict copy` has put beside another one, on this machine or on any other. */
export interface ConflictCopy {
  readonly copy: RepoPath;
  /** The file that it is another version of; it may be gone. */
  readonly path: RepoPath;
  /** `2026-11-20` */
  readonly day: string;
}

const MARK = ' (conflict ';
/** `NAME (conflict DATE HOST).md`, numbered where there were several that day. */
const COPY = /^(?<name>.+) \(conflict (?<day>\d{4}-\d\d-\d\d) [^()/]+\)(?<ending>\.[^./]+)?$/u;

export function findCopies(index: GitIndex): ConflictCopy[] {
  return index.pathsWith(MARK).flatMap((copy) => copyOf(copy) ?? []);
}

export function copyOf(copy: RepoPath): ConflictCopy | undefined {
  const { name, day, ending = '' } = COPY.exec(posix.basename(copy))?.groups ?? {};
  if (name === undefined || day === undefined) return undefined;
  const folder = copy.slice(0, copy.length - posix.basename(copy).length);
  return { copy, path: `${folder}${name}${ending}` as RepoPath, day };
}
