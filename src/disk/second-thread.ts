import { availableParallelism } from 'node:os';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** How a thread is made; tests give their own. */
export type StartThread = (program: string, options: WorkerOptions) => Worker;

export const startThread: StartThread = (program, options) => new Worker(program, options);

export interface ThreadNeeds extends Pick<WorkerOptions, 'workerData' | 'transferList'> {
  /** MB of memory for what it makes and soon forgets. */
  readonly youngGeneration: number;
}

/**
 * @param begin starts a second thread
 * @returns what it gives; undefined where there is no processor for one, or no thread to be had: the first one then does
 *   all by itself
 */
export function ifThereIsAThread<T>(begin: () => T): T | undefined {
  if (availableParallelism() < 2) return undefined;
  try {
    return begin();
  } catch {
    return undefined;
  }
}

/**
 * A thread that runs the text of a program, with none of this one's options of Node, and does not keep the process alive.
 * @throws what Node says where it can start none
 */
export function runInThread(
  program: string,
  { youngGeneration, ...data }: ThreadNeeds,
  start: StartThread = startThread,
): Worker {
  const thread = start(program, {
    ...data,
    eval: true,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: youngGeneration, maxOldGenerationSizeMb: 64 },
  });
  thread.unref();
  return thread;
}
