import { join } from 'node:path';
import { ok, type Check } from './check.js';

/** W_OK of access(2). */
const MAY_WRITE = 2;

/** Whether this user may write where kb writes. */
export const permissionsCheck: Check = {
  name: 'permissions',
  run({ kb }) {
    if (kb === undefined) return Promise.resolve([]);
    const places = [kb.root, kb.gitDir, join(kb.gitDir, 'objects'), join(kb.gitDir, 'refs')];
    const locked = places.filter((place) => !mayWrite(kb.surroundings.disk, place));
    if (locked.length === 0) return Promise.resolve([ok(`${kb.root} can be written to`)]);
    return Promise.resolve(
      locked.map((place) => ({
        status: 'problem' as const,
        text: `${place} cannot be written to`,
        mend: `give this user the right to write: chmod -R u+rwX '${kb.root}', or run kb as its owner`,
      })),
    );
  },
};

function mayWrite(disk: { accessSync(path: string, mode: number): void }, place: string): boolean {
  try {
    disk.accessSync(place, MAY_WRITE);
    return true;
  } catch {
    return false;
  }
}
