import { spawn, type ChildProcess } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { livenessProbe, type LivenessProbe } from '../../../src/lock/liveness.js';
import { currentProcess, type OwnerRecord } from '../../../src/lock/owner.js';
import { withOutlivingChildren } from '../../../src/lock/outliving-child.js';
import { madeUpOwner, madeUpProcess } from '../../support/lock-fixtures.js';

const dead: LivenessProbe = () => 'dead';
const me = madeUpProcess('ann');
const ID = '6'.repeat(32);
const run: OwnerRecord = { ...madeUpOwner('ann', ID), operation: 'run', startTime: '500' };
const UID = 1000;

interface Process {
  readonly state?: string;
  readonly startTime?: string;
  readonly flags?: number;
  /** An error code is thrown. */
  readonly environ?: string;
  readonly cmdline?: string;
  readonly uid?: number;
}

/** A disk whose /proc holds these processes. */
function procDisk(processes: readonly Process[]): Disk {
  const readdirSync = (() =>
    ['self', 'meminfo', ...processes.keys()].map(String)) as unknown as typeof nodeDisk.readdirSync;
  const readFileSync = ((path: string) => {
    const [, pid = '', file = ''] = /^\/proc\/(\d+)\/(\w+)$/.exec(path) ?? [];
    const { state = 'S', startTime = '600', flags = 0, ...rest } = processes[Number(pid)] ?? {};
    const { environ = 'HOME=/', cmdline = 'sleep', uid = UID } = rest;
    const stat = `${pid} (a (b) c) ${state} 1 1 1 0 -1 ${flags} ${'0 '.repeat(12)}${startTime} 0`;
    const content = { stat, environ, cmdline, status: `Name:\tx\nUid:\t${uid}\t0\t0\t0\n` }[file] ?? 'ENOENT';
    if (/^E[A-Z]+$/.test(content)) throw Object.assign(new Error(content), { code: content });
    return content;
  }) as typeof nodeDisk.readFileSync;
  return { ...nodeDisk, readdirSync, readFileSync };
}

const carrier = { environ: `A=1\0KB_LOCK_TOKEN=${ID}\0B=2\0` };

describe('a kb run whose process has ended', () => {
  it.each<[string, string, readonly Process[]]>([
    ['nobody is left', 'dead', [{}, {}]],
    ['its command is left', 'alive', [{}, carrier]],
    ['a command of a run inside it is left', 'alive', [{ environ: `KB_LOCK_TOKEN=${ID}.${'7'.repeat(32)}` }]],
    ['a run that it was inside of goes on', 'alive', [{ environ: `KB_LOCK_TOKEN=${'7'.repeat(32)}.${ID}` }]],
    ['a command of another run is left', 'dead', [{ environ: `KB_LOCK_TOKEN=${'7'.repeat(32)}` }]],
    ['the id stands in another variable', 'dead', [{ environ: `OTHER_KB_LOCK_TOKEN=${ID}` }]],
    ['its command has ended and waits for its parent', 'dead', [{ ...carrier, state: 'Z' }]],
    ['an older process cannot be its command', 'dead', [{ ...carrier, startTime: '499' }]],
    ['one of the same instant can', 'alive', [{ ...carrier, startTime: '500' }]],
    ['a process ends while it is looked at', 'dead', [{ environ: 'ESRCH' }]],
    ['a younger process hides its environment', 'unknown', [{ environ: 'EACCES' }]],
    ['one hides it, another carries the id', 'alive', [{ environ: 'EACCES' }, carrier]],
    ['an older process hides it', 'dead', [{ environ: 'EACCES', startTime: '499' }]],
    ['a process of another user hides it', 'dead', [{ environ: 'EACCES', uid: 0 }]],
    ['a process is in the middle of exec', 'unknown', [{ environ: '', cmdline: '' }]],
    ['a process has no environment', 'dead', [{ environ: '' }]],
    ['a kernel thread', 'dead', [{ environ: '', cmdline: '', flags: 0x0020_8040 }]],
  ])('%s: %s', (_, expected, processes) => {
    expect(withOutlivingChildren(dead, procDisk(processes), me, UID)(run)).toBe(expected);
  });

  it("cannot tell whose a hidden process is where the run was another user's", () => {
    const probe = withOutlivingChildren(dead, procDisk([{ environ: 'EACCES', uid: 0 }]), madeUpProcess('ben'), UID);
    expect(probe(run)).toBe('unknown');
  });

  it('looks at no process for other operations, nor where the owner is not proved dead', () => {
    const blind = { ...nodeDisk, readdirSync: (() => expect.unreachable()) as unknown as Disk['readdirSync'] };
    expect(withOutlivingChildren(dead, blind, me, UID)({ ...run, operation: 'note' })).toBe('dead');
    expect(withOutlivingChildren(() => 'alive', blind, me, UID)(run)).toBe('alive');
    expect(withOutlivingChildren(() => 'unknown', blind, me, UID)(run)).toBe('unknown');
  });

  it('is dead where there is no /proc', () => {
    const readdirSync = (() => {
      throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    }) as typeof nodeDisk.readdirSync;
    expect(withOutlivingChildren(dead, { ...nodeDisk, readdirSync }, me, UID)(run)).toBe('dead');
  });
});

describe.skipIf(process.platform !== 'linux')('with real processes (needs /proc)', () => {
  const children: ChildProcess[] = [];
  afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')));

  it('keeps the lock as long as any descendant of the command lives', async () => {
    const self = currentProcess(nodeDisk);
    const owner = { ...run, ...self, operation: 'run' };
    const probe = withOutlivingChildren(dead, nodeDisk, self);
    const env = { PATH: process.env['PATH'], KB_LOCK_TOKEN: ID };
    // The shell ends; what it left in the background goes on under another parent.
    const shell = spawn('sh', ['-c', 'sleep 60 & echo $!'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(shell);
    const pid = await new Promise<number>((resolve) => shell.stdout.once('data', (data) => resolve(Number(data))));
    try {
      await new Promise((resolve) => (shell.exitCode === null ? shell.once('exit', resolve) : resolve(undefined)));
      expect(probe(owner)).toBe('alive');
    } finally {
      process.kill(pid, 'SIGKILL');
    }
    await expect.poll(() => probe(owner)).not.toBe('alive');
  });

  it('wired to the real probe: an owner that runs is alive without a look at others', () => {
    const self = currentProcess(nodeDisk);
    const probe = withOutlivingChildren(livenessProbe(nodeDisk, self), nodeDisk, self);
    expect(probe({ ...run, ...self })).toBe('alive');
  });
});
