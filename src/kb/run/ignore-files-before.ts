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
  const changed: Partial<Record<keyof Disk, (...args: never[]) => unknown>> = {
    readFileSync: (...args: Parameters<Disk['readFileSync']>) => {
      const content = typeof args[0] === 'number' ? undefined : files.get(keyOf(args[0]));
      return content === undefined ? disk.readFileSync(...args) : (content ?? Buffer.alloc(0));
    },
    // The rules ask so what is there; whoever asks for a file's own state gives options.
    lstatSync: (...args: Parameters<Disk['lstatSync']>) => {
      const content = args[1] === undefined ? files.get(keyOf(args[0])) : undefined;
      return content === undefined || content === null
        ? disk.lstatSync(...args)
        : { isFile: () => true, isDirectory: () => false, size: content.length };
    },
  };
  const overlaid = new Proxy(disk, {
    get: (target, name: keyof Disk) => changed[name] ?? (target[name] as unknown),
  });
  return new Worktree(overlaid, root, gitDir, settings);
}

function keyOf(path: unknown): string {
  return Buffer.isBuffer(path) ? path.toString('latin1') : String(path);
}
