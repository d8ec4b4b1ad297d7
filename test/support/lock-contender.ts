// A process that contends for one lock, for the tests with many processes. It is bundled and started as a child:
//   node lock-contender.cjs LOCKER MODE DIRECTORY COUNT [SCENE]
// LOCKER  kb: withLock. The others are the seeded bugs that the tests must be able to see. plain: proper-lockfile
//         as it comes, which steals stale locks. no-line: withLock of one who sees nobody else in the line, so
//         tries at once. any-pid: withLock with a probe that looks every owner up in this process's own /proc.
// MODE    stress: COUNT critical sections, one after the other. takeover: waits for a line on stdin, then tries
//         to get a lock that a dead owner left, once, and keeps it until stdin ends. hold: takes the lock, says so,
//         and holds it until stdin ends. block: holds it while the event loop is blocked for COUNT ms. serve:
//         critical sections until stdin ends, each step in the log that SCENE names. side: COUNT children in mode
//         serve, replaced when they die; one of them is killed at each line on stdin; ends when stdin ends.
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, openSync, readFileSync, readlinkSync, symlinkSync, unlinkSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import * as lockfile from 'proper-lockfile';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { livenessProbe } from '../../src/lock/liveness.js';
import { SIDE_NAME, withLock, type HeldLock, type LockDependencies } from '../../src/lock/lock.js';
import { currentProcess, parseProcessStat, type OwnerRecord } from '../../src/lock/owner.js';

/** What modes serve and side are told. */
export interface Scene {
  /** A file for one line a step: `WHO EVENT NANOSECONDS` on the clock that all processes of a machine share. */
  readonly log: string;
  readonly who: string;
  /** Sections last between 0 and this long, ms. */
  readonly holdMs: number;
  /** Half the time the next section is asked for at once, else after 0 to this long, ms. */
  readonly restMs: number;
  /** How likely it is that it kills itself in the middle of a section: 0 ≤ x ≤ 1. */
  readonly deathChance: number;
  /** Whoever finds and removes this file when it got the lock holds it for `longMs`, and logs `long`. */
  readonly order?: string;
  readonly longMs?: number;
  /** The wall clock jumps by an hour, back and forth, several times a second. */
  readonly wallClockJumps?: boolean;
  /** The name that the pid namespace goes by, where it must not tell two hosts apart. */
  readonly pidNamespace?: string;
  readonly heartbeatMs?: number;
  readonly staleAfterMs?: number;
  /** Says `ready`, and begins only after a line on stdin: the start of many processes is no part of the picture. */
  readonly isCalled?: boolean;
}

const [, , locker = 'kb', mode = 'stress', directory = '.', count = '1', sceneText = '{}'] = process.argv;
const scene = JSON.parse(sceneText) as Scene;
const marker = join(directory, 'inside');

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function startTimeOf(pid: string): string | undefined {
  try {
    const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return stat === undefined || 'ZXx'.includes(stat.state) ? undefined : stat.startTime;
  } catch {
    return undefined;
  }
}

/** Marks that somebody is inside. A link is made in one step with its content, so a kill leaves no half of one. */
function enter(): void {
  const me = `${process.pid}:${startTimeOf(String(process.pid)) ?? ''}`;
  for (;;) {
    try {
      symlinkSync(me, marker);
      return;
    } catch {
      const other = readMarker();
      const [pid = '', startTime = ''] = other.split(':');
      const isAlive = startTimeOf(pid) === startTime;
      if (isAlive && other !== '') say(`overlap ${me} ${other}`);
      removeMarker(); // of one who was killed inside; only the holder does so
    }
  }
}

function readMarker(): string {
  try {
    return readlinkSync(marker);
  } catch {
    return '';
  }
}

function removeMarker(): void {
  try {
    unlinkSync(marker);
  } catch {
    // somebody else removed it: that one said so
  }
}

function leave(): void {
  const me = `${process.pid}:`;
  if (!readMarker().startsWith(me)) say(`overlap ${me} marker changed while inside`);
  else removeMarker();
}

/** A disk that shows no waiter but this process's own: whoever has it finds the line empty, always. */
function diskWithoutOthers(): Disk {
  let own: string | undefined;
  const isOther = (name: string): boolean => name.startsWith('wait_') && name !== own;
  return new Proxy(nodeDisk, {
    get(target, call: keyof Disk) {
      if (call === 'renameSync') {
        return (from: string, to: string): void => {
          if (basename(to).startsWith('wait_')) own = basename(to);
          target.renameSync(from, to);
        };
      }
      if (call !== 'readdirSync') return target[call] as unknown;
      return (path: string): string[] => {
        const names = target.readdirSync(path);
        return basename(path) === SIDE_NAME ? names.filter((name) => !isOther(name)) : names;
      };
    },
  });
}

function dependencies(): Partial<LockDependencies> {
  const { pidNamespace, heartbeatMs, staleAfterMs } = scene;
  const me = { ...currentProcess(nodeDisk), ...(pidNamespace === undefined ? {} : { pidNamespace }) };
  const takeForNeighbour = ({ host, bootId, pidNamespace: theirs }: OwnerRecord): typeof me => ({
    ...me,
    host,
    bootId,
    pidNamespace: theirs,
  });
  return {
    identity: me,
    ...(locker === 'no-line' ? { disk: diskWithoutOthers() } : {}),
    ...(locker === 'any-pid'
      ? { liveness: (owner: OwnerRecord) => livenessProbe(nodeDisk, takeForNeighbour(owner))(owner) }
      : {}),
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    ...(staleAfterMs === undefined ? {} : { staleAfterMs }),
  };
}

/**
 * The wall clock of everything in this process, proper-lockfile included: the injected clock alone would leave
 * out the heartbeats that proper-lockfile's timer makes. All of one side jump together, as on one machine.
 */
function letWallClockJump(): void {
  const trueNow = Date.now.bind(Date);
  const side = scene.who.split('.')[0] ?? '';
  Date.now = () => {
    const step = process.hrtime.bigint() / 64_000_000n; // another hour every 64 ms, perhaps
    const [byte = 0] = createHash('sha1').update(`${side} ${step}`).digest();
    return trueNow() + ((byte % 3) - 1) * 3_600_000;
  };
}

async function locked(body: (held: HeldLock | undefined) => Promise<void>, onWait?: () => void): Promise<void> {
  if (locker !== 'plain') {
    const request = { directory, operation: 'stress', command: 'kb stress', timeoutMs: 120_000 };
    await withLock({ ...request, ...(onWait === undefined ? {} : { onWait }) }, (held) => body(held), dependencies());
    return;
  }
  const release = await lockfile.lock(directory, {
    stale: 2000,
    retries: { retries: 1000, factor: 1, minTimeout: 5, maxTimeout: 25 },
    lockfilePath: join(directory, '.kb_operations.lock'),
    onCompromised: () => undefined,
  });
  try {
    await body(undefined);
  } finally {
    await release().catch(() => undefined);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const untilStdinEnds = (): Promise<void> => new Promise((resolve) => process.stdin.resume().once('end', resolve));

async function stress(): Promise<void> {
  for (let section = 0; section < Number(count); section++) {
    await locked(async (held) => {
      enter();
      await pause(Math.random() * 4);
      held?.assertHeld();
      leave();
      say('section');
    });
  }
}

async function untilCalled(): Promise<void> {
  say('ready');
  await new Promise<void>((resolve) => process.stdin.once('data', () => resolve()));
}

async function takeover(): Promise<void> {
  await untilCalled();
  const over = untilStdinEnds();
  if (locker === 'kb') {
    const request = { directory, operation: 'stress', timeoutMs: 1000 };
    await withLock(request, async () => (say('held'), over)).catch(() => say('not held'));
  } else {
    const options = {
      stale: 2000,
      lockfilePath: join(directory, '.kb_operations.lock'),
      onCompromised: () => undefined,
    };
    await lockfile.lock(directory, options).then(
      () => say('held'),
      () => say('not held'),
    );
    await over;
  }
  process.exit(0);
}

/** One write(2) of a short line to a file opened for appending: lines of many processes do not mix, and none is lost. */
function openLog(): (event: string, who?: string) => void {
  const descriptor = openSync(scene.log, 'a');
  return (event, who = scene.who) => {
    writeSync(descriptor, `${who} ${event} ${process.hrtime.bigint()}\n`);
  };
}

function takeOrder(): boolean {
  try {
    if (scene.order !== undefined) unlinkSync(scene.order);
    return scene.order !== undefined;
  } catch {
    return false; // there is none, or another took it
  }
}

async function serve(): Promise<void> {
  if (scene.isCalled === true) await untilCalled();
  const log = openLog();
  const over = new AbortController();
  void untilStdinEnds().then(() => over.abort());
  if (scene.wallClockJumps === true) letWallClockJump();

  const section = async (held: HeldLock | undefined): Promise<void> => {
    log('in');
    const isLong = takeOrder();
    if (isLong) log('long');
    const end = performance.now() + (isLong ? (scene.longMs ?? 0) : Math.random() * scene.holdMs);
    const dies = !isLong && Math.random() < scene.deathChance;
    do {
      await pause(Math.min(end - performance.now(), 20));
      held?.assertHeld();
    } while (performance.now() < end);
    if (dies) {
      log('killed');
      process.kill(process.pid, 'SIGKILL');
    }
    log('out');
  };

  while (!over.signal.aborted) {
    let hasJoined = false;
    const onWait = (): void => {
      if (!hasJoined) log('joined'); // the first report comes right after the place is on disk
      hasJoined = true;
    };
    log('ask');
    try {
      await locked(section, onWait);
      log('back');
    } catch (error) {
      if (!isLost(error)) throw error;
      log('lost');
    }
    if (Math.random() < 0.5) await pause(Math.random() * scene.restMs);
  }
  process.exit(0);
}

function isLost(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'E_LOCK_LOST';
}

async function side(): Promise<void> {
  const log = openLog();
  const members = new Map<string, ChildProcess>();
  let isOver = false;
  let number = 0;
  const add = (): void => {
    const who = `${scene.who}.${++number}`;
    const args = [process.argv[1] ?? '', locker, 'serve', directory, '0', JSON.stringify({ ...scene, who })];
    const member = spawn(process.execPath, args, { stdio: ['pipe', 'inherit', 'inherit'] });
    members.set(who, member);
    member.once('exit', () => {
      members.delete(who);
      if (!isOver) add();
    });
  };
  for (let n = 0; n < Number(count); n++) add();
  createInterface({ input: process.stdin }).on('line', () => {
    const [who, member] = [...members][Math.floor(Math.random() * members.size)] ?? [];
    if (who === undefined || member?.exitCode !== null || member.signalCode !== null) return;
    log('killed', who); // before the kill: from then on nothing that it does is certain
    member.kill('SIGKILL');
  });
  await untilStdinEnds();
  isOver = true;
  for (const member of members.values()) member.stdin?.end();
}

async function main(): Promise<void> {
  if (mode === 'stress') await stress();
  else if (mode === 'takeover') await takeover();
  else if (mode === 'serve') await serve();
  else if (mode === 'side') await side();
  else {
    await locked(async (held) => {
      say(`held ${held?.id ?? ''} ${lstatSync(join(directory, '.kb_operations.lock')).isDirectory()}`);
      if (mode === 'hold') return untilStdinEnds();
      const end = Date.now() + Number(count);
      while (Date.now() < end); // nothing else runs: no timer, no signal handler
      held?.assertHeld();
      say('still held');
    });
  }
}

main().catch((error: unknown) => {
  say(`failed ${String(error)}`);
  process.exitCode = 1;
});
