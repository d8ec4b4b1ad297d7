import { Worker } from 'node:worker_threads';
import type { StartThread } from '../../src/disk/second-thread.js';

const ANSWERED = 32;
const LONGEST_WAIT_MS = 20_000;

/** Starts the thread that looks at files, and goes on when it has looked at all but the first one. */
export const andWaitForAnswers: StartThread = (program, options) => {
  const thread = new Worker(program, options);
  const { control } = options.workerData as { control: Int32Array };
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const until = Date.now() + LONGEST_WAIT_MS; Atomics.load(control, ANSWERED) > 1;) {
    if (Date.now() > until) throw new Error('the second thread has not answered');
    Atomics.wait(pause, 0, 0, 1);
  }
  return thread;
};
