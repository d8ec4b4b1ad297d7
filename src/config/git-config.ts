import { dirname, isAbsolute, join, resolve } from 'node:path';
import { KbError } from '../errors.js';
import type { Disk } from '../disk/disk.js';
import { asStorageError, isErrno } from '../disk/durable.js';
import { decodeLatin1, parseGitConfig } from './git-config-syntax.js';
import { includeApplies } from './git-config-condition.js';
import { homePath } from './locations.js';

export { setGitConfig } from './git-config-edit.js';

export interface GitConfigOptions {
  readonly disk: Disk;
  /** The repository's `.git`; without it system and global files only. */
  readonly gitDir?: string;
  readonly env: NodeJS.ProcessEnv;
  /** The user's home directory, for `~/` and `~/.gitconfig`; '' when there is none. */
  readonly home: string;
  /** Short name of the branch that HEAD points to, for `includeIf "onbranch:…"`. */
  readonly branch?: string;
}

interface Item {
  readonly key: string;
  readonly value: string | undefined;
  readonly source: string;
}

/** Git gives up at the same depth (MAX_INCLUDE_DEPTH). */
const MAX_DEPTH = 10;
/** Depth alone does not stop ten files that each include the next one a hundred times. */
const MAX_FILES = 1000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * Git's configuration as git itself reads it: system, global (XDG, then `~/.gitconfig`), repository,
 * worktree, then `GIT_CONFIG_COUNT` pairs; later wins. Own code because every `kb note` reads it and
 * isomorphic-git costs more to load than all of this takes, and knows no includes.
 * Source: git-config(1), sections "FILES", "Includes", "Conditional includes", "ENVIRONMENT".
 */
export class GitConfig {
  private readonly byKey = new Map<string, Item[]>();

  private constructor(private readonly items: readonly Item[]) {
    for (const item of items) {
      const known = this.byKey.get(item.key);
      if (known === undefined) this.byKey.set(item.key, [item]);
      else known.push(item);
    }
  }

  /** @throws KbError E_USAGE for a file git would refuse too, E_STORAGE when one cannot be read */
  static load(options: GitConfigOptions): GitConfig {
    return new GitConfig(new Loader(options).load());
  }

  /** The last value; a key without `=` is `'true'`. Section and name in any case, subsections exactly. */
  get(key: string): string | undefined {
    const item = this.last(key);
    return item === undefined ? undefined : (item.value ?? 'true');
  }

  /** All values in the order of precedence, the weakest first. */
  getAll(key: string): string[] {
    return (this.byKey.get(normalizeKey(key)) ?? []).map((item) => item.value ?? 'true');
  }

  /** @throws KbError E_USAGE when the value is no boolean */
  getBoolean(key: string, fallback: boolean): boolean {
    const item = this.last(key);
    if (item === undefined || item.value === undefined) return item === undefined ? fallback : true;
    const flag = parseGitBoolean(item.value);
    if (flag !== undefined) return flag;
    throw new KbError(
      'E_USAGE',
      `${key} in ${item.source} is not a boolean: ${JSON.stringify(item.value.slice(0, 80))}`,
      {
        hint: `set ${key} to true or false in ${item.source}`,
      },
    );
  }

  /** The file (or environment variable) that the effective value comes from. */
  source(key: string): string | undefined {
    return this.last(key)?.source;
  }

  /** Every key that is set, in no particular order. */
  keys(): string[] {
    return [...this.byKey.keys()];
  }

  /** Keys and values in the order read, as `git config --list` prints them; undefined: no `=`. */
  *entries(): Generator<{ key: string; value: string | undefined; source: string }> {
    yield* this.items;
  }

  private last(key: string): Item | undefined {
    return this.byKey.get(normalizeKey(key))?.at(-1);
  }
}

/** Lower case but for the subsection: everything between the first and the last dot. */
export function normalizeKey(key: string): string {
  const first = key.indexOf('.');
  const last = key.lastIndexOf('.');
  if (first === last) return key.toLowerCase();
  return key.slice(0, first).toLowerCase() + key.slice(first, last) + key.slice(last).toLowerCase();
}

/** Git's booleans: words, and numbers with their k, m, g suffixes. undefined: neither. */
export function parseGitBoolean(text: string): boolean | undefined {
  if (/^(true|yes|on)$/i.test(text)) return true;
  if (/^(false|no|off|)$/i.test(text)) return false;
  const number = /^\s*[+-]?(\d+)[kmg]?$/i.exec(text);
  return number === null ? undefined : Number(number[1]) !== 0;
}

class Loader {
  private items: Item[] = [];
  private files = 0;
  private remoteUrls: readonly string[] | undefined;

  constructor(
    private readonly options: GitConfigOptions,
    /** Set while the remote URLs for `hasconfig:` are collected: those conditions are false then. */
    private readonly collectingUrls = false,
  ) {}

  load(): Item[] {
    const { env, home, gitDir } = this.options;
    if (parseGitBoolean(env['GIT_CONFIG_NOSYSTEM'] ?? 'false') !== true) {
      this.file(env['GIT_CONFIG_SYSTEM'] ?? '/etc/gitconfig', 0);
    }
    const global = env['GIT_CONFIG_GLOBAL'];
    if (global !== undefined) this.file(global, 0);
    else {
      const xdg = env['XDG_CONFIG_HOME'];
      if (xdg) this.file(join(xdg, 'git', 'config'), 0);
      else if (home) this.file(join(home, '.config', 'git', 'config'), 0);
      if (home) this.file(join(home, '.gitconfig'), 0);
    }
    if (gitDir !== undefined) {
      this.file(join(gitDir, 'config'), 0);
      if (this.isOn('extensions.worktreeconfig')) this.file(join(gitDir, 'config.worktree'), 0);
    }
    this.environment();
    return this.items;
  }

  private file(path: string, depth: number): void {
    const text = path === '' ? undefined : this.read(path);
    if (text === undefined) return;
    if (++this.files > MAX_FILES) throw tooManyIncludes(path, `more than ${MAX_FILES} files`);
    for (const section of parseGitConfig(text, path)) {
      for (const { key, value } of section.items) this.add(key, value, path, path, depth);
    }
  }

  private environment(): void {
    const { env } = this.options;
    const count = Number(env['GIT_CONFIG_COUNT'] || '0');
    if (!Number.isInteger(count) || count < 0 || count > 10_000) {
      throw new KbError('E_USAGE', `GIT_CONFIG_COUNT is not a usable count: ${env['GIT_CONFIG_COUNT']}`, {
        hint: 'unset GIT_CONFIG_COUNT',
      });
    }
    for (let n = 0; n < count; n++) {
      const key = env[`GIT_CONFIG_KEY_${n}`];
      const value = env[`GIT_CONFIG_VALUE_${n}`];
      if (!key || value === undefined || !/^[A-Za-z0-9-]+\.(?:[^\0\n]*\.)?[A-Za-z][A-Za-z0-9-]*$/.test(key)) {
        throw new KbError('E_USAGE', `GIT_CONFIG_KEY_${n} or GIT_CONFIG_VALUE_${n} is missing or not a valid key`, {
          hint: 'unset GIT_CONFIG_COUNT or set all of its pairs',
        });
      }
      this.add(normalizeKey(key), value, 'GIT_CONFIG_COUNT', undefined, 0);
    }
  }

  private add(key: string, value: string | undefined, source: string, file: string | undefined, depth: number): void {
    this.items.push({ key, value, source });
    if (!key.startsWith('include') || !key.endsWith('.path')) return;
    const condition = /^includeif\.(.*)\.path$/s.exec(key)?.[1];
    if (condition === undefined ? key !== 'include.path' : !this.applies(condition, file)) return;
    if (value === undefined)
      throw new KbError('E_USAGE', `${key} in ${source} has no value`, { hint: `correct ${key} in ${source}` });
    const target = this.includedFile(value, file);
    if (target === undefined) return;
    if (depth + 1 > MAX_DEPTH)
      throw tooManyIncludes(target, `more than ${MAX_DEPTH} deep; do files include each other?`);
    this.file(target, depth + 1);
  }

  private includedFile(value: string, includedBy: string | undefined): string | undefined {
    const path = homePath(value, this.options.home);
    if (isAbsolute(path)) return path;
    // "~user/": another user's home is nothing kb can know without asking the system; git ignores unknown ones
    if (path.startsWith('~') && path.includes('/')) return undefined;
    if (includedBy !== undefined) return join(dirname(resolve(includedBy)), path);
    throw new KbError('E_USAGE', `a relative include.path in GIT_CONFIG_COUNT: ${path}`, {
      hint: 'give an absolute path',
    });
  }

  private applies(condition: string, file: string | undefined): boolean {
    const { disk, gitDir, home, branch } = this.options;
    return includeApplies(condition, {
      disk,
      home,
      ...(gitDir === undefined ? {} : { gitDir }),
      ...(file === undefined ? {} : { file }),
      ...(branch === undefined ? {} : { branch }),
      remoteUrls: () => this.allRemoteUrls(),
    });
  }

  /** `hasconfig:` looks at all files, also at those read later, so they are read once before. */
  private allRemoteUrls(): readonly string[] {
    if (this.collectingUrls) return [];
    this.remoteUrls ??= new Loader(this.options, true)
      .load()
      .filter((item) => /^remote\..*\.url$/s.test(item.key))
      .map((item) => item.value ?? '');
    return this.remoteUrls;
  }

  private isOn(key: string): boolean {
    const item = this.items.filter((one) => one.key === key).at(-1);
    return item !== undefined && parseGitBoolean(item.value ?? 'true') === true;
  }

  private read(path: string): string | undefined {
    const { disk } = this.options;
    let bytes: Buffer;
    try {
      bytes = disk.readFileSync(path);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw isErrno(error, 'EISDIR') ? notReadable(path, error) : asStorageError(error, 'read the git configuration');
    }
    if (bytes.length > MAX_FILE_BYTES) throw notReadable(path, undefined);
    return bytes.toString('latin1');
  }
}

function notReadable(path: string, cause: unknown): KbError {
  return new KbError(
    'E_USAGE',
    `${decodeLatin1(path)} is no usable git configuration: a folder, or over ${MAX_FILE_BYTES} bytes`,
    { cause },
  );
}

function tooManyIncludes(path: string, why: string): KbError {
  return new KbError('E_USAGE', `the git configuration includes ${why} (at ${path})`, {
    hint: 'look for an include.path that leads back: git config --list --show-origin',
  });
}
