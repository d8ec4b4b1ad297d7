import { measureDisk } from '../disk-use.js';
import { mebibytes } from '../free-space.js';
import { ok, problem, type Check } from './check.js';

/** A clone needs at least this, bytes: what it leaves free on any volume (`FreeSpace`). */
const LEAST_FOR_A_CLONE = 16 * 1024 * 1024;

/** Whether there is room: to rewrite the packs once, as `kb status` measures it, or for a first clone. */
export const diskCheck: Check = {
  name: 'disk',
  run({ kb, surroundings: { disk, cwd } }) {
    const where = kb?.root ?? cwd;
    const { bavail, bsize, files, ffree } = disk.statfsSync(where);
    const headroom = kb === undefined ? LEAST_FOR_A_CLONE : measureDisk(disk, kb.root, kb.gitDir).headroom;
    const free = bavail * bsize;
    const room = `${mebibytes(free)} free, ${mebibytes(headroom)} needed to ${kb === undefined ? 'begin a clone' : 'pack'}`;
    const findings = [free >= headroom ? ok(room) : problem(room, `make room on the volume of ${where}`)];
    // A volume that counts no files says 0 of 0.
    if (files > 0 && ffree < LEAST_FILES)
      findings.push(problem(`room for ${ffree} more files only`, `remove files on the volume of ${where}`));
    return Promise.resolve(findings);
  },
};

/** An edit makes some ten; a pull as many as came in. */
const LEAST_FILES = 1000;
