import { monotonicMs } from '../monotonic.js';
import { nodeDisk, type Disk } from '../disk/disk.js';
import { currentProcess, type ProcessIdentity } from '../lock/owner.js';

/** What a use case tells while it works; whoever calls decides whether and how to show it. */
export type Report =
  | {
      readonly kind: 'waiting';
      readonly holder: string | undefined;
      readonly waitedMs: number;
      /** 1: next. */
      readonly place: number;
      /** Time left until the wait is given up, ms. */
      readonly givesUpInMs: number;
    }
  | { readonly kind: 'step'; readonly text: string }
  | {
      readonly kind: 'progress';
      readonly phase: string;
      readonly done?: number;
      readonly total?: number;
      readonly bytes?: number;
      /** Lately; missing while it would be a guess. */
      readonly bytesPerSecond?: number;
      /** Until the end of the phase, if it goes on as lately, ms. */
      readonly remainingMs?: number;
    }
  | { readonly kind: 'warning'; readonly text: string };

export interface Clock {
  /** Milliseconds since 1970, as the user's calendar has it; may jump. */
  wall(): number;
  /** Milliseconds since some moment; never jumps. For durations and deadlines. */
  monotonic(): number;
  /** Minutes east of UTC at a moment given in wall milliseconds. */
  offsetMinutes(wallMs: number): number;
  /** Resolves after the time, rejects when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** All that a use case takes from the machine, injected so that tests can replace any of it. */
export interface Surroundings {
  readonly disk: Disk;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Which process this is, provably for others. */
  readonly identity: ProcessIdentity;
  readonly signal?: AbortSignal;
  readonly report: (event: Report) => void;
  /** Asks the person at the terminal, such as for a password; undefined: there is none who could answer. */
  readonly ask?: Ask | undefined;
}

/** @returns undefined when nothing was entered */
export type Ask = (question: { readonly text: string; readonly hidden: boolean }) => Promise<string | undefined>;

export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: monotonicMs,
  offsetMinutes: (wallMs) => -new Date(wallMs).getTimezoneOffset(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, ms);
      if (signal?.aborted === true) stop();
      else signal?.addEventListener('abort', stop, { once: true });
    }),
};

/** The real machine; `over` replaces single parts. */
export function surroundings(over: Partial<Surroundings> = {}): Surroundings {
  const disk = over.disk ?? nodeDisk;
  let identity: ProcessIdentity | undefined;
  return {
    disk,
    env: process.env,
    cwd: process.cwd(),
    clock: systemClock,
    random: Math.random,
    // read when first asked for: commands without a lock need not know
    get identity() {
      return (identity ??= currentProcess(disk));
    },
    report: () => undefined,
    ...over,
  };
}
