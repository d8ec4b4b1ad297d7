import { dirname } from 'node:path';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { collisionKey } from '../../../../src/git/worktree/collisions.js';

/**
 * A disk as on macOS or Windows over one that keeps names apart: a name that is there already in another
 * case or normal form is that file.
 */
export function foldingDisk(root: string): Disk {
  const real = (path: string): string => {
    if (path === root || !path.startsWith(`${root}/`)) return path;
    const parent = real(dirname(path));
    const name = path.slice(dirname(path).length + 1);
    let names: string[] = [];
    try {
      names = nodeDisk.readdirSync(parent);
    } catch {
      // the folder is not there, so nothing in it is
    }
    const known = names.includes(name) ? name : names.find((other) => collisionKey(other) === collisionKey(name));
    return `${parent}/${known ?? name}`;
  };
  return new Proxy(nodeDisk, {
    get(target, property: keyof Disk) {
      const original = target[property] as ((...args: unknown[]) => unknown) | undefined;
      if (original === undefined) return undefined;
      return (...args: unknown[]): unknown => {
        const paths = property === 'renameSync' || property === 'linkSync' ? 2 : 1;
        const from = property === 'symlinkSync' ? 1 : 0;
        return original(
          ...args.map((arg, at) => (at >= from && at < from + paths && typeof arg === 'string' ? real(arg) : arg)),
        );
      };
    },
  });
}
