import type { Disk } from '../disk/disk.js';
import { isErrno } from '../disk/durable.js';
import { parseProcessStat, type OwnerRecord, type ProcessIdentity } from './owner.js';

/** 'dead' and 'alive' are proved; everything else is 'unknown'. */
export type Liveness = 'alive' | 'dead' | 'unknown';
export type LivenessProbe = (owner: OwnerRecord) => Liveness;

/**
 * Tells whether the process named in a record still runs.
 *
 * Invariant: 'dead' is said only of a process that can never act again. A wrong 'dead' gives one lock to two
 * holders; a wrong 'unknown' costs a wait. So host, boot and pid namespace must be ours, and the process table
 * we read must show every process.
 * Broken by: test/unit/lock/liveness.test.ts "is dead only where that is proved".
 *
 * On Linux only /proc is read. Elsewhere signal 0 is a probe that is not delivered. No pid out of a file is
 * ever signalled.
 */
export function livenessProbe(
  disk: Disk,
  me: ProcessIdentity,
  platform: NodeJS.Platform = process.platform,
): LivenessProbe {
  return (owner) => {
    if (owner.host !== me.host || owner.bootId !== me.bootId || owner.pidNamespace !== me.pidNamespace)
      return 'unknown';
    if (platform !== 'linux') return probeBySignalZero(owner.pid);
    if (me.bootId === '' || me.pidNamespace === '') return 'unknown';
    return probeByProc(disk, owner);
  };
}

function probeByProc(disk: Disk, owner: OwnerRecord): Liveness {
  let text: string;
  try {
    text = disk.readFileSync(`/proc/${owner.pid}/stat`, 'utf8');
  } catch (error) {
    // ESRCH: it ended between our open and our read.
    if (isErrno(error, 'ESRCH')) return 'dead';
    return isErrno(error, 'ENOENT') && procShowsEverybody(disk) ? 'dead' : 'unknown';
  }
  const stat = parseProcessStat(text);
  if (stat === undefined) return 'unknown';
  // A zombie has ended and only waits for its parent to notice; in a container that may be never.
  if ('ZXx'.includes(stat.state)) return 'dead';
  if (owner.startTime === '') return 'unknown';
  return stat.startTime === owner.startTime ? 'alive' : 'dead';
}

/** With `hidepid` (proc(5)) the processes of other users are not there to see: absence then proves nothing. */
function procShowsEverybody(disk: Disk): boolean {
  let mounts: string;
  try {
    mounts = disk.readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return false;
  }
  // proc_pid_mountinfo(5): the mount point is field 5; after ' - ' come type, source and the options.
  const proc = mounts
    .split('\n')
    .filter((line) => line.split(' ')[4] === '/proc')
    .at(-1);
  if (proc === undefined) return false;
  const hidepid = /\bhidepid=(\w+)/.exec(proc)?.[1] ?? '0';
  return hidepid === '0' || hidepid === 'off';
}

function probeBySignalZero(pid: number): Liveness {
  try {
    process.kill(pid, 0);
    return 'alive';
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return 'dead';
    return isErrno(error, 'EPERM') ? 'alive' : 'unknown';
  }
}
