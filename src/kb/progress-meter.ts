import type { Clock, Report } from './surroundings.js';

/** How far a phase is. */
export interface Progress {
  readonly done: number;
  /** 0 where it is not known. */
  readonly total: number;
  readonly bytes?: number;
}

export type ProgressReport = Extract<Report, { kind: 'progress' }>;

/** Events are told at most so often, ms: a clone has hundreds of thousands of them. */
const TELL_EVERY_MS = 100;
/** Rates are taken over this time, ms: long enough to be calm, short enough to follow a connection that gets slow. */
const WINDOW_MS = 5000;
/** Before this, ms, a rate would be a guess. */
const LEAST_WINDOW_MS = 500;

interface Sample {
  readonly atMs: number;
  readonly done: number;
  readonly bytes: number;
}

/** Turns what was done so far into events with a rate and the time that remains; the first and last of a phase are always told. */
export class ProgressMeter {
  private phase = '';
  private toldAt = 0;
  private samples: Sample[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly tell: (report: ProgressReport) => void,
  ) {}

  follow(phase: string, progress: Progress): void {
    const now = this.clock.monotonic();
    const isNew = phase !== this.phase;
    if (!isNew && now - this.toldAt < TELL_EVERY_MS && progress.done !== progress.total) return;
    if (isNew) this.samples = [];
    this.phase = phase;
    this.toldAt = now;
    this.tell({ kind: 'progress', phase, ...progress, ...this.speed(now, progress) });
  }

  private speed(atMs: number, { done, total, bytes = 0 }: Progress): { bytesPerSecond?: number; remainingMs?: number } {
    const { samples } = this;
    samples.push({ atMs, done, bytes });
    while ((samples[1]?.atMs ?? atMs) < atMs - WINDOW_MS) samples.shift();
    const first = samples[0] as Sample;
    const elapsedMs = atMs - first.atMs;
    if (elapsedMs < LEAST_WINDOW_MS) return {};
    const stepsPerMs = (done - first.done) / elapsedMs;
    return {
      ...(bytes > first.bytes ? { bytesPerSecond: Math.round((1000 * (bytes - first.bytes)) / elapsedMs) } : {}),
      ...(stepsPerMs > 0 && total >= done ? { remainingMs: Math.round((total - done) / stepsPerMs) } : {}),
    };
  }
}
