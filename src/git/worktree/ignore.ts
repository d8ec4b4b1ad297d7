import type { Disk } from '../../disk/disk.js';
import { isErrno } from '../../disk/durable.js';
import { encodePath, toDiskPath } from '../paths.js';
import { type IgnorePattern, parseIgnoreFile, toByteString } from './ignore-pattern.js';

/** Larger ignore files are passed over, as git does (its limit is the same): nobody wrote them by hand. */
const MAX_IGNORE_FILE_BYTES = 100 * 1024 * 1024;

/**
 * The ignore rules that hold in one folder: its own `.gitignore`, then its parents' up to the root, then
 * `info/exclude`, then `core.excludesFile`. The first file with a matching line decides; in a file the
 * last matching line. An ignored folder is not entered, so nothing below it can be included again.
 * Source: gitignore(5), "Patterns read from …, in order of precedence".
 */
export class IgnoreRules {
  private constructor(
    private readonly disk: Disk,
    private readonly root: string,
    private readonly ignoreCase: boolean,
    /** Where the patterns' file is, as a byte string with a `/` at its end; '' for the root and the files outside the tree. */
    private readonly base: string,
    private readonly patterns: readonly IgnorePattern[],
    private readonly next: IgnoreRules | undefined,
  ) {}

  /** The rules outside the work tree: `info/exclude` before `core.excludesFile`. */
  static outside(
    disk: Disk,
    root: string,
    files: { gitDir: string; excludesFile?: string; ignoreCase: boolean },
  ): IgnoreRules {
    let rules = new IgnoreRules(disk, root, files.ignoreCase, '', [], undefined);
    for (const file of [files.excludesFile, `${files.gitDir}/info/exclude`]) {
      if (file !== undefined) rules = rules.with('', readIgnoreFile(disk, file, 'follow links'));
    }
    return rules;
  }

  /**
   * The rules in a folder that holds a `.gitignore`. A link in its place is not followed: a tree could point it anywhere.
   * @param elsewhere what the ignore file at this path holds, where none can be read from disk
   */
  enter(folder: string, elsewhere?: (path: string) => Buffer | undefined): IgnoreRules {
    const path = folder === '' ? '.gitignore' : `${folder}/.gitignore`;
    const content = readIgnoreFile(this.disk, toDiskPath(this.root, path), 'no links') ?? elsewhere?.(path);
    return this.with(folder === '' ? '' : `${toByteString(folder, encodePath)}/`, content);
  }

  ignores(path: string, isFolder: boolean): boolean {
    const bytes = toByteString(path, encodePath);
    const name = bytes.slice(bytes.lastIndexOf('/') + 1);
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- walks the list that begins here
    for (let rules: IgnoreRules | undefined = this; rules !== undefined; rules = rules.next) {
      const relative = bytes.slice(rules.base.length);
      for (let at = rules.patterns.length - 1; at >= 0; at -= 1) {
        const pattern = rules.patterns[at];
        if (pattern === undefined || (pattern.directoriesOnly && !isFolder)) continue;
        if (pattern.matches(relative, name)) return !pattern.negated;
      }
    }
    return false;
  }

  private with(base: string, content: Buffer | undefined): IgnoreRules {
    const patterns = content === undefined ? [] : parseIgnoreFile(content, this.ignoreCase);
    if (patterns.length === 0) return this;
    return new IgnoreRules(this.disk, this.root, this.ignoreCase, base, patterns, this);
  }
}

function readIgnoreFile(disk: Disk, file: string | Buffer, links: 'follow links' | 'no links'): Buffer | undefined {
  try {
    const stats = links === 'follow links' ? disk.statSync(file) : disk.lstatSync(file);
    if (!stats.isFile() || stats.size > MAX_IGNORE_FILE_BYTES) return undefined;
    return disk.readFileSync(file);
  } catch (error) {
    // as git does: what cannot be read ignores nothing
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return undefined;
    throw error;
  }
}
