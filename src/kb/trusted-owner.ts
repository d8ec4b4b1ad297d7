import type { GitConfig } from '../config/git-config.js';
import type { Disk } from '../disk/disk.js';
import { KbError } from '../errors.js';

/**
 * A repository's own configuration steers what kb does in it, so one that another user prepared is
 * refused unless the user said that it may be trusted. Source of the rule: git-config(1), safe.directory.
 * @param userConfig git's system and global configuration, without the KB's own: a KB must not vouch for itself
 * @throws KbError E_UNSAFE_STATE
 */
export function requireTrustedOwner(disk: Disk, root: string, gitDir: string, userConfig: () => GitConfig): void {
  const user = process.geteuid?.();
  if (user === undefined) return; // no owners to compare on this platform
  const sudoUser = user === 0 ? Number(process.env['SUDO_UID'] ?? '0') : user;
  const isOwn = (path: string): boolean => {
    const owner = disk.lstatSync(path).uid;
    return owner === user || owner === sudoUser;
  };
  if (isOwn(root) && isOwn(gitDir)) return;
  const all = userConfig().getAll('safe.directory');
  const trusted = all.slice(all.lastIndexOf('') + 1); // an empty entry takes back those before it
  if (
    trusted.some(
      (entry) => entry === '*' || entry === root || (entry.endsWith('/*') && root.startsWith(entry.slice(0, -1))),
    )
  )
    return;
  throw new KbError('E_UNSAFE_STATE', `${root} belongs to another user`, {
    hint: `if you trust it: git config --global --add safe.directory ${root}`,
  });
}
