import type { Disk } from '../disk/disk.js';
import { isErrno } from '../disk/durable.js';
import type { Liveness, LivenessProbe } from './liveness.js';
import { parseProcessStat, type OwnerRecord, type ProcessIdentity } from './owner.js';

/** What `kb run` sets in the environment of its command: the ids of the locks that it runs under. */
const TOKEN = 'KB_LOCK_TOKEN=';

/**
 * A probe that does not take a `kb run` for dead while the command that it started still works: killed with
 * SIGKILL, kb cannot end its command, and whoever got the lock then would share the work tree with it.
 *
 * Invariant: 'dead' is said of a run only when no process that its command could be, or have started, carries the
 * lock's id in its environment. Such a process is younger than kb itself, so the others need not be looked at.
 * Broken by: test/unit/lock/outliving-child.test.ts.
 *
 * Not seen: a process that cleared its environment, and one that lets nobody look at it (ssh-agent does) while it
 * runs as somebody else. Without /proc nothing is seen, and kb's own death frees the lock.
 * @param uid of this process; undefined where users have none
 */
export function withOutlivingChildren(
  probe: LivenessProbe,
  disk: Disk,
  me: ProcessIdentity,
  uid = process.getuid?.(),
): LivenessProbe {
  return (owner) => {
    const liveness = probe(owner);
    // 'dead' means also that host, boot and pid namespace are ours: the table that we read shows all there is.
    return liveness === 'dead' && owner.operation === 'run' ? childrenOf(disk, owner, me, uid) : liveness;
  };
}

function childrenOf(disk: Disk, owner: OwnerRecord, me: ProcessIdentity, uid: number | undefined): Liveness {
  let pids: string[];
  try {
    pids = disk.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'dead'; // no /proc on this system
    throw error;
  }
  let isSure = true;
  for (const pid of pids) {
    if (!isYounger(disk, pid, owner.startTime)) continue;
    const environment = environmentOf(disk, pid);
    if (environment === 'gone') continue;
    if (environment === 'hidden') {
      // The command runs as its user: a hidden process of another one can be passed over.
      if (owner.user !== me.user || uid === undefined || uidOf(disk, pid) === uid) isSure = false;
    } else if (environment.some((entry) => entry.startsWith(TOKEN) && namesLock(entry, owner.id))) return 'alive';
  }
  return isSure ? 'dead' : 'unknown';
}

function namesLock(entry: string, id: string): boolean {
  return entry.slice(TOKEN.length).split('.').includes(id);
}

/** A descendant of the owner cannot have started before it. Both times count ticks since the same boot. */
function isYounger(disk: Disk, pid: string, startTime: string): boolean {
  const stat = parseProcessStat(readProc(disk, pid, 'stat') ?? '');
  if (stat === undefined || 'ZXx'.includes(stat.state)) return false;
  return startTime === '' || BigInt(stat.startTime) >= BigInt(startTime);
}

function environmentOf(disk: Disk, pid: string): readonly string[] | 'gone' | 'hidden' {
  let text: string | undefined;
  try {
    text = readProc(disk, pid, 'environ');
    if (text === undefined) return 'gone';
    // In the middle of exec(2) a process has neither environment nor arguments yet; kernel threads never have.
    if (text === '' && readProc(disk, pid, 'cmdline') === '' && !isKernelThread(disk, pid)) return 'hidden';
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return 'hidden';
    throw error;
  }
  return text.split('\0');
}

const KERNEL_THREAD = 0x0020_0000;

/** Source: proc_pid_stat(5), field 9, and PF_KTHREAD of Linux's include/linux/sched.h. */
function isKernelThread(disk: Disk, pid: string): boolean {
  const text = readProc(disk, pid, 'stat') ?? '';
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // fields[0] is field 3
  return (Number(fields[6]) & KERNEL_THREAD) !== 0;
}

function uidOf(disk: Disk, pid: string): number | undefined {
  const match = /^Uid:\s+(\d+)/m.exec(readProc(disk, pid, 'status') ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** @returns undefined when the process has ended */
function readProc(disk: Disk, pid: string, file: string): string | undefined {
  try {
    return disk.readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}
