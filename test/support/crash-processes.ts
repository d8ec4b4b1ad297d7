import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import type { Surroundings } from '../../src/kb/surroundings.js';
import { currentProcess, type ProcessIdentity } from '../../src/lock/owner.js';
import { processWord } from '../../src/lock/process-word.js';
import { worldOf, type Site } from './crash-site.js';
import { FailingDisk, type Failure } from './failing-disk.js';

/** Above every pid that Linux gives (PID_MAX_LIMIT, 4,194,304): /proc of the machine knows none of ours. */
const FIRST_PID = 5_000_000;
const START_TIME = '100';
const START_TIME_OF_ANOTHER = '200';

let lastPid = FIRST_PID;
const running = new Set<number>();
let machine: ProcessIdentity | undefined;

/**
 * A process of kb that lives inside the test's own: with an identity that others can judge, a disk on which it can be
 * killed, and a name in front of the remote. Many of them share a KB as real processes do: the table of processes
 * that they read says who was killed, and each reaches the KB under a path of its own, so that nothing of the lock
 * in memory is shared between them.
 */
export class SimulatedProcess {
  readonly identity: ProcessIdentity;
  readonly failing: FailingDisk;
  private readonly root: string;

  /** @param name by which the remote knows it, see crash-network.ts */
  constructor(
    readonly site: Site,
    readonly name: string,
    failure?: Failure,
  ) {
    machine ??= currentProcess(nodeDisk);
    const pid = (lastPid += 1);
    running.add(pid);
    this.identity = { ...machine, pid, startTime: START_TIME };
    this.root = join(site.root, `as-${pid}`);
    symlinkSync(site.kb, this.root); // also where it is going to make the KB
    this.failing = new FailingDisk(failure, withProcesses(nodeDisk, site.kb, this.root));
    this.failing.onKill = () => running.delete(pid);
  }

  get isKilled(): boolean {
    return this.failing.isKilled;
  }

  get hasEnded(): boolean {
    return !running.has(this.identity.pid);
  }

  /** As `processWord` names it. */
  get word(): string {
    return processWord(this.identity);
  }

  /** What a command sees that is started in this process. */
  get world(): Surroundings {
    const { site, root } = this;
    return worldOf(site, {
      disk: this.failing.disk,
      identity: this.identity,
      cwd: existsSync(site.kb) ? root : site.root,
      env: { GITHUB_USERNAME: this.name, KB_GIT_AUTH_TOKEN: 'token', KB_LOCK_TIMEOUT: '20s' },
    });
  }

  /** From now on nothing of it reaches the disk, and everybody can know that it has ended. */
  kill(): void {
    this.failing.kill();
  }

  /** From now on nothing of it reaches the disk, but to everybody it looks alive, as one that was stopped does. */
  freeze(): void {
    this.failing.onKill = undefined;
    this.failing.kill();
  }

  /** It has ended by itself. */
  end(): void {
    running.delete(this.identity.pid);
  }
}

/** A disk with the test's processes in /proc, and with `root` as the one real path of the KB. */
function withProcesses(base: Disk, kb: string, root: string): Disk {
  const overrides: Record<string, unknown> = {
    readFileSync: (path: unknown, ...rest: unknown[]): unknown => {
      const pid = typeof path === 'string' ? /^\/proc\/(\d+)\/stat$/.exec(path)?.[1] : undefined;
      if (pid !== undefined && Number(pid) > FIRST_PID) return statOf(Number(pid));
      return Reflect.apply(base.readFileSync, base, [path, ...rest]);
    },
    realpathSync: (path: string): string => {
      const real = base.realpathSync(path);
      return real === kb || real.startsWith(`${kb}/`) ? root + real.slice(kb.length) : real;
    },
  };
  return new Proxy(base, {
    get: (target, name: string, receiver: unknown): unknown => overrides[name] ?? Reflect.get(target, name, receiver),
  });
}

/** proc_pid_stat(5): state is field 3, start time field 22. A pid that was used again is proof of an end. */
function statOf(pid: number): string {
  const startTime = running.has(pid) ? START_TIME : START_TIME_OF_ANOTHER;
  return `${pid} (kb) S ${'0 '.repeat(18)}${startTime} 0\n`;
}
