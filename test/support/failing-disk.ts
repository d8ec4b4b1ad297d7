import { nodeDisk, type Disk } from '../../src/disk/disk.js';

/** Thrown by the call at which the process is "killed", and by every call after it. */
export class Killed extends Error {
  constructor() {
    super('killed by the test');
  }
}

export type Failure =
  /** From the n-th changing call on nothing reaches the disk any more, as after kill -9. */
  | { readonly kind: 'kill'; readonly at: number; /** If it is a write, half of it is done. */ readonly torn?: boolean }
  /** The n-th changing call fails, the next ones work again. */
  | { readonly kind: 'error'; readonly at: number; readonly errno: string }
  /** From the n-th changing call on, nothing that needs space works; removing and renaming do. */
  | { readonly kind: 'full'; readonly at: number };

const CHANGING = new Set<string>([
  'writeSync',
  'renameSync',
  'unlinkSync',
  'linkSync',
  'mkdirSync',
  'rmdirSync',
  'fsyncSync',
  'ftruncateSync',
  'chmodSync',
  'utimesSync',
  'symlinkSync',
] satisfies (keyof Disk)[]);

const NEEDS_SPACE = new Set<string>(['openSync', 'writeSync', 'mkdirSync', 'linkSync', 'symlinkSync']);

/**
 * A disk on which one change goes wrong. It counts every call that changes something (opening for writing
 * is one); reads are not counted. Nothing is flushed: no power is cut here.
 */
export class FailingDisk {
  /** Changing calls so far, the failed ones included. */
  changes = 0;
  isKilled = false;
  /** Whether the failure was reached. */
  hasFailed = false;
  /** The call that failed, for messages. */
  failedCall = '';
  /** Kills right before the first call for which it holds, named as in `log`. */
  killWhen: ((call: string) => boolean) | undefined;
  /** Called at the moment of the kill, before anybody else can act. */
  onKill: (() => void) | undefined;
  /** Every changing call so far, as `failedCall` names it. */
  readonly log: string[] = [];
  readonly disk: Disk;

  constructor(
    private readonly failure?: Failure,
    base: Disk = nodeDisk,
  ) {
    this.disk = new Proxy(base, {
      get: (target, name: string, receiver: unknown) => {
        const call = Reflect.get(target, name, receiver) as ((...args: unknown[]) => unknown) | undefined;
        // What this disk cannot do (roam) must be seen to be missing.
        if (call === undefined) return undefined;
        return (...args: unknown[]) => {
          // The system closes the files of a process that was killed.
          if (this.isKilled && name !== 'closeSync') throw new Killed();
          if (changes(name, args)) this.beforeChange(name, args, call);
          return name === 'fsyncSync' ? undefined : call.apply(target, args);
        };
      },
    });
  }

  /** From now on no call works any more. */
  kill(): void {
    if (this.isKilled) return;
    this.isKilled = true;
    this.onKill?.();
  }

  private beforeChange(name: string, args: unknown[], call: (...args: unknown[]) => unknown): void {
    const { failure } = this;
    this.changes += 1;
    const described = describeCall(name, args);
    this.log.push(described);
    if (this.killWhen?.(described) === true) {
      this.kill();
      throw new Killed();
    }
    if (failure === undefined || this.changes < failure.at) return;
    if (failure.kind === 'full') {
      if (!NEEDS_SPACE.has(name)) return;
      this.note(name, args);
      throw errnoError('ENOSPC', name, args);
    }
    if (this.changes !== failure.at) return;
    this.note(name, args);
    if (failure.kind === 'error') throw errnoError(failure.errno, name, args);
    if (failure.torn === true && name === 'writeSync') writeHalf(args, call);
    this.kill();
    throw new Killed();
  }

  private note(name: string, args: unknown[]): void {
    if (!this.hasFailed) this.failedCall = describeCall(name, args);
    this.hasFailed = true;
  }
}

function describeCall(name: string, args: unknown[]): string {
  return `${name} ${args.filter((arg) => typeof arg === 'string').join(' ')}`;
}

function changes(name: string, args: unknown[]): boolean {
  return name === 'openSync' ? args[1] !== undefined && args[1] !== 'r' : CHANGING.has(name);
}

function writeHalf(
  [descriptor, data, offset, length, position]: unknown[],
  call: (...args: unknown[]) => unknown,
): void {
  const bytes = data as Uint8Array;
  const from = typeof offset === 'number' ? offset : 0;
  const count = typeof length === 'number' ? length : bytes.length - from;
  if (count > 1) call(descriptor, bytes, from, Math.floor(count / 2), position ?? null);
}

function errnoError(code: string, syscall: string, [path]: unknown[]): NodeJS.ErrnoException {
  const where = typeof path === 'string' ? path : undefined;
  return Object.assign(new Error(`${code}: made by the test, ${syscall} ${where ?? ''}`), {
    code,
    syscall,
    ...(where === undefined ? {} : { path: where }),
  });
}
