// A process that contends for one lock, for the stress tests. It is bundled and started as a child:
//   node lock-contender.cjs LOCKER MODE DIRECTORY COUNT
// LOCKER  kb: withLock. plain: proper-lockfile as it comes, which steals stale locks: the seeded bug that the
//         tests must be able to see.
// MODE    stress: COUNT critical sections, one after the other. takeover: waits for a line on stdin, then tries
//         to get a lock that a dead owner left, once, and keeps it until stdin ends. hold: takes the lock, says so,
//         and holds it until stdin ends. block: holds it while the event loop is blocked for COUNT ms.
import { lstatSync, readFileSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as lockfile from 'proper-lockfile';
import { withLock, type HeldLock } from '../../src/lock/lock.js';
import { parseProcessStat } from '../../src/lock/owner.js';

const [, , locker = 'kb', mode = 'stress', directory = '.', count = '1'] = process.argv;
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

async function locked(body: (held: HeldLock | undefined) => Promise<void>): Promise<void> {
  if (locker === 'kb') {
    const request = { directory, operation: 'stress', command: 'kb stress', timeoutMs: 120_000 };
    await withLock(request, (held) => body(held));
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

async function takeover(): Promise<void> {
  say('ready');
  await new Promise<void>((resolve) => process.stdin.once('data', () => resolve()));
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

async function main(): Promise<void> {
  if (mode === 'stress') await stress();
  else if (mode === 'takeover') await takeover();
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
