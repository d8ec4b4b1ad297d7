import { measureDisk } from '../disk-use.js';
import { mebibytes } from '../free-space.js';
import { ok, type Check } from './check.js';

/** Whether there is room to rewrite the packs once, as `kb status` measures it. */
export const diskCheck: Check = {
  name: 'disk',
  run({ kb }) {
    if (kb === undefined) return Promise.resolve([]);
    const { freeBytes, headroom } = measureDisk(kb.surroundings.disk, kb.root, kb.gitDir);
    const room = `${mebibytes(freeBytes)} free, ${mebibytes(headroom)} needed to pack`;
    if (freeBytes >= headroom) return Promise.resolve([ok(room)]);
    return Promise.resolve([{ status: 'problem', text: room, mend: 'make room on the volume of the KB' }]);
  },
};
