import { mkdtempSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import type { LockClock } from '../../src/lock/clock.js';
import { LOCK_NAME, OWNER_FILE } from '../../src/lock/layout.js';
import type { Liveness, LivenessProbe } from '../../src/lock/liveness.js';
import { encodeOwner, type OwnerRecord, type ProcessIdentity } from '../../src/lock/owner.js';

/** An empty directory that is gone after the test. */
export function makeKb(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kb-lock-')));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** All paths in the directory; links are not followed. */
export function leftIn(directory: string): string[] {
  const paths = readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const inside = entry.isDirectory() ? leftIn(join(directory, entry.name)) : [];
    return [entry.name, ...inside.map((path) => join(entry.name, path))];
  });
  return paths.sort();
}

/** A process that exists only in the test: `liveness` below tells its fate. */
export function madeUpProcess(user: string): ProcessIdentity {
  return { pid: 4_000_000, startTime: '1', host: 'test-host', bootId: 'boot', pidNamespace: 'pid:[1]', user };
}

export function madeUpOwner(user: string, id = user.charCodeAt(0).toString(16).repeat(16)): OwnerRecord {
  const since = '2026-01-02T03:04:05.000Z';
  return { ...madeUpProcess(user), id, operation: 'note', command: 'kb note', since };
}

export function plantLock(directory: string, content: OwnerRecord | string | Buffer): void {
  mkdirSync(join(directory, LOCK_NAME));
  const isRecord = typeof content === 'object' && !Buffer.isBuffer(content);
  writeFileSync(join(directory, LOCK_NAME, OWNER_FILE), isRecord ? encodeOwner(content) : content);
}

/** Fates by user name; whoever is not named is unknown. */
export function fates(table: Readonly<Record<string, Liveness>>): LivenessProbe {
  return (owner) => table[owner.user] ?? 'unknown';
}

/** Time that passes only when somebody sleeps. */
export class FakeClock implements LockClock {
  nowMs = 1_000_000;
  /** Called before each sleep with its length: where a test lets the world change. */
  onSleep: (ms: number) => void = () => undefined;

  wallMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.onSleep(ms);
    if (signal?.aborted !== true) this.nowMs += ms;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A disk that calls `before` ahead of each call on it, which may throw or do other things first. */
export function watchedDisk(before: (call: string, path: unknown) => void): Disk {
  return new Proxy(nodeDisk, {
    get(target, name: keyof Disk) {
      const call = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        before(name, args[0]);
        return call(...args);
      };
    },
  });
}
