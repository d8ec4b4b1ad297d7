import * as fs from 'node:fs';

/**
 * The file system as kb uses it: node's synchronous calls, injected everywhere so that tests can count,
 * fail or stop at any single step. Synchronous because that is the fastest way in Node for the many
 * small reads of a cycle, and because a step that cannot interleave is easier to recover.
 */
export type Disk = NodeCalls & {
  /**
   * Runs synchronous work that may enter folders: a path without a slash then counts from the one entered last. What
   * lies many folders deep is reached a fifth faster so. Only where the working directory is kb's own to change.
   * @param work gets a function that enters a folder given by its absolute path, and throws as chdir does
   */
  readonly roam?: <T>(work: (enter: (folder: string) => void) => T) => T;
};

type NodeCalls = Pick<typeof fs, (typeof CALLS)[number]>;

const CALLS = [
  'openSync',
  'closeSync',
  'readSync',
  'writeSync',
  'fsyncSync',
  'ftruncateSync',
  'fstatSync',
  'lstatSync',
  'statSync',
  'statfsSync',
  'accessSync',
  'realpathSync',
  'readdirSync',
  'readlinkSync',
  'mkdirSync',
  'rmdirSync',
  'renameSync',
  'linkSync',
  'symlinkSync',
  'unlinkSync',
  'chmodSync',
  'utimesSync',
  'readFileSync',
] as const;

export const nodeDisk: Disk = fs;

/** To open an ordinary file: never through a link in its place, and a pipe there does not make kb wait. */
export const OPEN_PLAINLY = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK;

/**
 * For the program: nobody else is in its process who could rely on the working directory. A program that uses the
 * library may be reading a relative path in another thread at that very moment.
 */
export const programDisk: Disk = {
  // Not all of fs: some of its properties load further modules when they are looked at.
  ...(Object.fromEntries(CALLS.map((name) => [name, fs[name]])) as unknown as NodeCalls),
  roam: (work) => {
    const before = workingDirectory();
    if (before === undefined) {
      return work(() => {
        throw new Error('the working directory is gone');
      });
    }
    try {
      return work((folder) => process.chdir(folder));
    } finally {
      goBack(before);
    }
  },
};

/** Whether a disk is the machine's own and nothing else, so that another thread's calls mean the same. */
export function isPlainDisk(disk: object): boolean {
  return disk === nodeDisk || disk === programDisk;
}

function workingDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined; // it was removed: there would be no way back
  }
}

function goBack(directory: string): void {
  try {
    process.chdir(directory);
  } catch {
    // removed meanwhile; kb itself uses absolute paths only
  }
}
