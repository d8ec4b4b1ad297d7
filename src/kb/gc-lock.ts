import { hostname } from 'node:os';
import { join } from 'node:path';
import { readFileIfExists, removeFile } from '../disk/durable.js';
import { LockFile } from '../disk/lock-file.js';
import { KbError } from '../errors.js';
import { livenessProbe } from '../lock/liveness.js';
import type { Kb } from './open.js';

const FILE = 'gc.pid';
/** Git takes an older file for one that was left behind. */
const STALE_MS = 12 * 3600 * 1000;

/**
 * Git's own lock against a second `gc`, honoured by git and kb both ways: `.git/gc.pid` holds `PID HOST`; it counts
 * unless it is 12 hours old or its process, on this host, is gone. Source: git's `builtin/gc.c`, lock_repo_for_gc.
 * @throws KbError E_UNSAFE_STATE (retryable) when another gc is at work
 */
export function lockForGc(kb: Kb): { release(): void } {
  const { disk, identity } = kb.surroundings;
  const path = join(kb.gitDir, FILE);
  const own = `${identity.pid} ${hostname()}`;
  const lock = LockFile.acquire(disk, path, { marks: kb.lockMarks, waitMs: 0 });
  try {
    const other = whoRuns(kb, path);
    if (other !== undefined) {
      throw new KbError('E_UNSAFE_STATE', `another gc is at work in this KB: ${other}`, {
        hint: 'wait until it has ended; its record is .git/gc.pid',
        details: { gc: other },
        retryable: true,
      });
    }
    lock.write(Buffer.from(own));
    lock.commit({ durable: false });
  } finally {
    lock.release();
  }
  return {
    release: () => {
      if (readFileIfExists(disk, path)?.toString('latin1') === own) removeFile(disk, path);
    },
  };
}

/** `pid 123 on host`, of a gc that is at work. */
function whoRuns(kb: Kb, path: string): string | undefined {
  const { disk, clock, identity } = kb.surroundings;
  const stat = disk.lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || clock.wall() - stat.mtimeMs > STALE_MS) return undefined;
  const match = /^([1-9]\d{0,9}) (\S{1,256})\s*$/.exec(readFileIfExists(disk, path)?.toString('latin1') ?? '');
  if (match === null) return undefined;
  const [, pid = '', host = ''] = match;
  if (host === hostname()) {
    const owner = { ...identity, pid: Number(pid), startTime: '', id: '', operation: '', command: '', since: '' };
    if (livenessProbe(disk, identity)(owner) === 'dead') return undefined;
  }
  return `pid ${pid} on ${host}`;
}
