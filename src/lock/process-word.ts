import { createHash } from 'node:crypto';
import type { Disk } from '../disk/disk.js';
import { livenessProbe } from './liveness.js';
import type { ProcessIdentity } from './owner.js';

/**
 * A process in one word that fits into a file name: `PID.STARTTIME.PLACE`, where PLACE stands for host, boot
 * and pid namespace. Only a process of the same place can tell whether it still runs.
 */
export function processWord(identity: ProcessIdentity): string {
  return `${identity.pid}.${identity.startTime || '-'}.${placeOf(identity)}`;
}

/** Tells of a word whether its process has provably ended; of a word from elsewhere, or none at all: no. */
export function deadWordProbe(disk: Disk, me: ProcessIdentity): (word: string) => boolean {
  const probe = livenessProbe(disk, me);
  const place = placeOf(me);
  return (word) => {
    const match = /^([1-9]\d{0,9})\.(\d+|-)\.([0-9a-f]{16})$/.exec(word);
    if (match?.[3] !== place) return false;
    const startTime = match[2] === '-' ? '' : (match[2] ?? '');
    return probe({ ...me, pid: Number(match[1]), startTime, id: '', operation: '', command: '', since: '' }) === 'dead';
  };
}

function placeOf({ host, bootId, pidNamespace }: ProcessIdentity): string {
  return createHash('sha256')
    .update(JSON.stringify([host, bootId, pidNamespace]))
    .digest('hex')
    .slice(0, 16);
}
