/** What the bench may at most find, or must at least find; the figures that the project has promised itself. */
export type Limit = ({ readonly most: number } | { readonly least: number }) & {
  readonly unit: '×' | 'ms' | 'MB' | '';
};

const ratio = (most: number): Limit => ({ most, unit: '×' });

/** Limits of a scenario's time against native git's, by number of files. */
export const LIMITS: Readonly<Record<string, Readonly<Record<number, Limit>>>> = {
  'cycle, unmoved': { 10: ratio(1.35), 10_000: ratio(1.15), 100_000: ratio(0.6) },
  'cycle, moved': { 10: ratio(1.25), 10_000: ratio(0.85), 100_000: ratio(0.4) },
  'cycle, unmoved, +40 ms': { 10: ratio(0.85), 10_000: ratio(0.75), 100_000: ratio(0.55) },
  'cycle, moved, +40 ms': { 10: ratio(0.9), 10_000: ratio(0.65), 100_000: ratio(0.4) },
  'sync, one local edit': { 100_000: ratio(1) },
  'sync, nothing to do, +40 ms': { 10: ratio(1.3) },
  status: { 100_000: ratio(2) },
};

export const REQUESTS = { unmoved: 2, moved: 3, sync: 1, connections: 1 };
export const PEAK_MEMORY_MB = { files: 100_000, most: 150 };
/** kb's own time in the largest KB against the smallest. */
export const OWN_TIME_RATIO = 2.5;

/** What kb may take longer than `node -e 0`, ms. */
export const BESIDE_NODE_MS = {
  version: 45,
  /** From the start of `kb note` until its first request arrives. */
  firstRequest: 70,
  /** `kb status` of a KB of that many files. */
  status: { files: 1000, most: 60 },
};

/** A note of 1 MB with a thousand edits on each side: what `kb merge-file` may take longer than `node -e 0`, ms. */
export const MERGE_MS = 200;

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
