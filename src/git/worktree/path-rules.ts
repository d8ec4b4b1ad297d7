import { disguised, INVISIBLE, isDotGitmodules } from '../dot-git-names.js';

/**
 * Which names a tree may bring into the work tree. The names come from a remote, so each is judged before
 * anything is written.
 *
 * - **Dangerous names are refused everywhere**, also those that only another system would misread: a KB is
 *   shared between systems, and a name that is harmless here would be an attack on the next clone. These
 *   are whatever some file system takes for `.git` (any case, HFS-ignorable characters, NTFS short names,
 *   streams, trailing dots and spaces), `.`, `..`, empty parts, absolute paths, backslashes, NUL, kb's own
 *   lock and temporary files, and a symbolic link in the place of `.gitmodules`.
 * - **Names that are merely impossible on Windows are refused only there**: device names, `< > : " | ? *`,
 *   control characters, a trailing dot or space. Elsewhere they are ordinary names of ordinary notes.
 *
 * Source of the last: Microsoft, "Naming Files, Paths, and Namespaces"; of the others see src/git/dot-git-names.ts.
 */
export interface PathRuleOptions {
  /** `process.platform` unless a test says otherwise. */
  readonly platform?: string;
  /** The entry's mode, where it is known: some names may be files but not links. */
  readonly mode?: number;
}

const SYMLINK = 0o120000;

/**
 * Nearly every path passes here without a look at its parts (a clone checks 100,000 of them). It finds
 * all that any rule below could refuse: non-ASCII, control characters, `\ : ~ " < > | ? *`, an empty
 * part, a part that begins with a dot, and a part that ends in a dot or a space.
 */
const SUSPICIOUS = /[^\x20-\x7e]|[\\:~"<>|?*]|(?:^|\/)(?:\/|\.|$)|[. ](?:\/|$)/;
const DEVICE = /(?:^|\/)(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)[ .]*(?:[.:\/]|$)/i;

const DOT_GIT = /^(?:\.git|\.?git~[1-9])$/;
const LOCK_PREFIX = '.kb_operations.lock';
/** NTFS's short name of the lock, which a tree could use to plant it there. */
const LOCK_SHORT_NAME = /^kb_ope~[1-9](?:\.loc)?$/;
const TEMPORARY_PREFIX = '.kb_tmp_';
/** Of a clone in the making, and of the record of its progress: a tree that brought one could pass it off as kb's. */
const STAGE_PREFIX = '.kb_clone_';

/**
 * @param path relative, `/` between its parts
 * @returns undefined when the path is safe to write; else why not, to be put into a message
 */
export function pathProblem(path: string, options: PathRuleOptions = {}): string | undefined {
  const onWindows = (options.platform ?? process.platform) === 'win32';
  if (path === '') return 'the path is empty';
  if (!SUSPICIOUS.test(path) && !(onWindows && DEVICE.test(path))) return undefined;

  if (path.startsWith('/')) return 'the path is absolute';
  if (path.includes('\\')) return 'a backslash separates folders on Windows';
  if (path.includes('\0')) return 'the path holds a NUL character';
  if (/^[a-z]:\//i.test(path)) return 'the path begins with a drive letter';
  if (namesLock(path)) return "it is the place of kb's own lock";

  const parts = path.split('/');
  for (const [position, part] of parts.entries()) {
    const isLast = position === parts.length - 1;
    const problem =
      partProblem(part, isLast ? options.mode : undefined) ?? (onWindows ? windowsProblem(part) : undefined);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** `.kb_operations.lock` of the root, whatever is under it and whatever begins with its name, in any case or normal form. */
export function namesLock(path: string): boolean {
  const slash = path.indexOf('/');
  const part = slash === -1 ? path : path.slice(0, slash);
  // the shortest disguise, NTFS's `kb_ope~1`, has 8 characters; no other first letter can become a dot or a k
  if (part.length < 8 || !/^[.k\u0080-\uffff]/i.test(part)) return false;
  const name = disguised(part);
  return name.startsWith(LOCK_PREFIX) || LOCK_SHORT_NAME.test(name);
}

/** kb's temporary files (`temporaryName`): never reported, never committed, and no tree may bring one. */
export function namesTemporaryFile(name: string): boolean {
  return name.startsWith(TEMPORARY_PREFIX);
}

function partProblem(part: string, mode: number | undefined): string | undefined {
  if (part === '') return 'a part of the path is empty';
  const visible = part.replace(INVISIBLE, '');
  // Windows drops dots and spaces at the end, so that `.. ` and `...` lead out as well
  if (/^\.[. ]*$/.test(visible)) return `the part ${JSON.stringify(part)} leads out of its folder`;
  const name = disguised(part);
  if (DOT_GIT.test(name)) return `${JSON.stringify(part)} would be git's own folder on some file system`;
  if (name.startsWith(TEMPORARY_PREFIX)) return "names that begin with .kb_tmp_ are kb's own";
  if (name.startsWith(STAGE_PREFIX)) return "names that begin with .kb_clone_ are kb's own";
  if (mode === SYMLINK && isDotGitmodules(name)) return '.gitmodules must not be a symbolic link';
  return undefined;
}

function windowsProblem(part: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- Windows refuses them
  if (/[\x01-\x1f<>:"|?*]/.test(part)) return `Windows does not allow ${JSON.stringify(part)}`;
  if (/[. ]$/.test(part)) return `Windows drops the dot or space at the end of ${JSON.stringify(part)}`;
  if (DEVICE.test(part) || /^(?:com|lpt)[\u00b9\u00b2\u00b3](?:\.|$)/i.test(part)) {
    return `${JSON.stringify(part)} is the name of a device on Windows`;
  }
  return undefined;
}
