/** What the bench may at most find, or must at least find; the figures that the project has promised itself. */
export type Limit = ({ readonly most: number } | { readonly least: number }) & {
  readonly unit: '×' | 'ms' | 'MB' | '';
};

const ratio = (most: number): Limit => ({ most, unit: '×' });

/** Limits of a scenario by number of files. */
export const LIMITS: Readonly<Record<string, Readonly<Record<number, Limit>>>> = {
  'cycle, unmoved': { 10: ratio(1.6), 10_000: ratio(1.2), 100_000: ratio(0.6) },
  'cycle, moved': { 10: ratio(1.6), 10_000: ratio(1.0), 100_000: ratio(0.6) },
  'cycle, unmoved, +40 ms': { 10: ratio(1.05), 10_000: ratio(0.85) },
  'cycle, moved, +40 ms': { 10: ratio(1.05), 10_000: ratio(0.85) },
};

export const REQUESTS = { unmoved: 2, moved: 3, sync: 1, connections: 1 };
export const PEAK_MEMORY_MB = { files: 100_000, most: 150 };
export const STARTUP_MS = 60;
/** kb's own time in the largest KB against the smallest. */
export const OWN_TIME_RATIO = 2.5;

/** Many writers on one clone: how many times native git's notes a second, and for how many requests a note. */
export const CONTENTION: readonly { readonly latencyMs: number; readonly speed: Limit; readonly requests: Limit }[] = [
  { latencyMs: 40, speed: { least: 4, unit: '×' }, requests: { most: 1, unit: '' } },
  { latencyMs: 150, speed: { least: 10, unit: '×' }, requests: { most: 0.4, unit: '' } },
];
/** `kb run` looks where the branch is; the notes behind it go out together: one more look, one push. */
export const BEHIND_RUN_REQUESTS = 3;

/** Clones: time against native git, and the most memory, MB. */
export const CLONE_RATIO: Limit = ratio(1);
export const CLONE_MEMORY_MB = 300;
