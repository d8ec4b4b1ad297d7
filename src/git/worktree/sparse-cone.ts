import { KbError } from '../../errors.js';
import { comparePaths, decodePath, encodePath, type RepoPath } from '../paths.js';
import { folderOf } from './folders.js';

const GLOB = /[*?[\\]/g;

/**
 * Which files of a repository are in the work tree: those of some folders with all that is below them, those that lie
 * directly in the folders above, and those at the root. Git's "cone mode", in git's own format.
 * Source: git-sparse-checkout(1), "INTERNALS — CONE PATTERN SET".
 */
export class SparseCone {
  private constructor(
    /** Folders that are here with all that is below them. */
    private readonly whole: ReadonlySet<string>,
    /** Folders of which only the files are here. '' is always one. */
    private readonly above: ReadonlySet<string>,
    private readonly hasAll: boolean,
  ) {}

  /** @param folders as typed: a slash at either end does not count */
  static of(folders: readonly string[]): SparseCone {
    const whole = new Set<string>();
    for (const folder of folders) {
      const path = folder.replace(/^\/+|\/+$/g, '').replace(/\/{2,}/g, '/');
      if (path !== '') whole.add(path);
    }
    for (const folder of whole) if (isBelowOneOf(whole, folderOf(folder))) whole.delete(folder);
    const above = new Set<string>();
    for (const folder of whole) for (let at = folderOf(folder); at !== ''; at = folderOf(at)) above.add(at);
    return new SparseCone(whole, above, false);
  }

  /**
   * @param bytes of `.git/info/sparse-checkout`
   * @throws KbError E_UNSAFE_STATE when it holds patterns that are not of this form
   */
  static parse(bytes: Buffer): SparseCone {
    const whole = new Set<string>();
    const above = new Set<string>();
    let hasAll = false;
    for (const line of bytes.toString('latin1').split('\n')) {
      const pattern = line.replace(/\r$/, '').replace(/(?<!\\) +$/, '');
      if (pattern === '' || pattern.startsWith('#')) continue;
      if (pattern === '/*') hasAll = true;
      else if (pattern === '!/*/') hasAll = false;
      else {
        const [, isNot, folder = '', isAbove] = /^(!)?\/(.+?)\/(\*\/)?$/.exec(pattern) ?? [];
        const path = unescaped(folder);
        if (path === undefined || (isNot === undefined) !== (isAbove === undefined)) throw notOfThisForm(pattern);
        if (isNot === undefined) whole.add(path);
        else if (!whole.delete(path)) throw notOfThisForm(pattern);
        else above.add(path);
      }
    }
    return new SparseCone(whole, above, hasAll);
  }

  /** Whether the file is to be in the work tree. */
  has(path: RepoPath): boolean {
    const folder = folderOf(path);
    return this.hasAll || folder === '' || this.above.has(folder) || isBelowOneOf(this.whole, folder);
  }

  /** The folders that are here as a whole, in git's order. */
  get folders(): RepoPath[] {
    return [...this.whole].sort(comparePaths) as RepoPath[];
  }

  /** Byte for byte what `git sparse-checkout set` writes. */
  serialize(): Buffer {
    const lines = ['/*', ...(this.hasAll ? [] : ['!/*/'])];
    for (const folder of [...this.above].sort(comparePaths)) {
      const pattern = `/${escaped(folder)}/`;
      lines.push(pattern, `!${pattern}*/`);
    }
    for (const folder of this.folders) lines.push(`/${escaped(folder)}/`);
    return encodePath(lines.map((line) => `${line}\n`).join(''));
  }
}

function isBelowOneOf(folders: ReadonlySet<string>, folder: string): boolean {
  for (let at = folder; at !== ''; at = folderOf(at)) if (folders.has(at)) return true;
  return false;
}

function escaped(folder: string): string {
  return folder.replace(GLOB, '\\$&');
}

/** @returns undefined when it is a pattern and no name */
function unescaped(pattern: string): string | undefined {
  let isPattern = pattern === '';
  const name = pattern.replace(/\\([^])|[*?[\\]/g, (_found, character?: string) => {
    isPattern ||= character === undefined;
    return character ?? '';
  });
  return isPattern ? undefined : decodePath(Buffer.from(name, 'latin1'));
}

function notOfThisForm(pattern: string): KbError {
  return new KbError(
    'E_UNSAFE_STATE',
    `this sparse checkout is by patterns, not by folders: ${JSON.stringify(pattern.slice(0, 80))} in .git/info/sparse-checkout`,
    {
      hint: 'choose folders with: git sparse-checkout set --cone FOLDER…, or have all files: git sparse-checkout disable',
    },
  );
}
