import type { Disk } from '../../disk/disk.js';
import { toDiskPath, type RepoPath } from '../../git/paths.js';
import { Worktree } from '../../git/worktree/worktree.js';

/**
 * The same work tree, but its ignore rules are read from these contents. What a failed command made must be told from
 * what lay there before it by the rules of before: with `build/` taken out of `.gitignore` by the command, all that
 * was built earlier would look as if the command had made it.
 * @param contents of `.gitignore` files; null: there was none
 */
export function withIgnoreFiles(worktree: Worktree, contents: ReadonlyMap<RepoPath, Buffer | null>): Worktree {
  const { disk, root, gitDir, settings } = worktree;
  const files = new Map([...contents].map(([path, content]) => [keyOf(toDiskPath(root, path)), content]));
  const folders = new Set(
    [...contents]
      .filter(([, content]) => content !== null)
      .map(([path]) => keyOf(toDiskPath(root, path.slice(0, Math.max(0, path.lastIndexOf('/')))))),
  );
  const changed: Partial<Record<keyof Disk, (...args: never[]) => unknown>> = {
    readFileSync: (...args: Parameters<Disk['readFileSync']>) => {
      const content = typeof args[0] === 'number' ? undefined : files.get(keyOf(args[0]));
      return content === undefined ? disk.readFileSync(...args) : (content ?? Buffer.alloc(0));
    },
    // The rules ask with this what is there; a file's own state is asked for with `bigint`.
    lstatSync: (...args: Parameters<Disk['lstatSync']>) => {
      const content = args[1] === undefined ? files.get(keyOf(args[0])) : undefined;
      return content === undefined || content === null
        ? disk.lstatSync(...args)
        : { isFile: () => true, isDirectory: () => false, size: content.length };
    },
    // One that the command removed still holds in its folder.
    readdirSync: (...args: Parameters<Disk['readdirSync']>) => {
      const entries = disk.readdirSync(...args) as unknown[];
      const options = Object(args[1]) as { withFileTypes?: boolean; encoding?: string };
      const isListing = options.withFileTypes === true && options.encoding === undefined;
      if (!isListing || !folders.has(keyOf(args[0]))) return entries;
      const isThere = (entries as { name: string }[]).some(({ name }) => name === '.gitignore');
      return isThere ? entries : [...entries, IGNORE_FILE];
    },
  };
  const overlaid = new Proxy(disk, {
    get: (target, name: keyof Disk) => changed[name] ?? (target[name] as unknown),
  });
  return new Worktree(overlaid, root, gitDir, settings);
}

const IGNORE_FILE = {
  name: '.gitignore',
  isFile: () => true,
  isDirectory: () => false,
  isSymbolicLink: () => false,
};

function keyOf(path: unknown): string {
  return Buffer.isBuffer(path) ? path.toString('latin1') : String(path);
}
