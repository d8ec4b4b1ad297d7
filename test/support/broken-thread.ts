/**
 * Ways for the thread that writes a clone's files to fail in the middle of a batch: what stands before its program.
 * From its third file on each of them does what it is named for.
 */
export const BROKEN = {
  ends: atThirdFile('process.exit(3);'),
  dies: atThirdFile(`
    require('node:worker_threads').workerData.port.postMessage = () => { throw new Error('dead on purpose'); };
    throw new Error('unwritable');`),
  'runs out of memory': atThirdFile('const all = []; for (;;) all.push(new Array(100000).fill(0.5));'),
  'finds the disk full': atThirdFile(`
    throw Object.assign(new Error('ENOSPC: no space left on device, open'), { code: 'ENOSPC', syscall: 'open' });`),
  hangs: atThirdFile('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120000);'),
} as const;

export type Broken = keyof typeof BROKEN;

function atThirdFile(what: string): string {
  return `{
    const fs = require('node:fs');
    const open = fs.openSync;
    let files = 0;
    fs.openSync = (...parameters) => {
      if (++files >= 3) { ${what} }
      return open(...parameters);
    };
  }\n`;
}

/**
 * A program to be loaded before kb (`--require`) that breaks the thread when kb starts it. kb goes on when the thread
 * is up: so a batch is there for it, however busy the machine is.
 */
export function breakThread(how: Broken): string {
  return `
    const threads = require('node:worker_threads');
    if (threads.isMainThread) {
      const { Worker } = threads;
      threads.Worker = class extends Worker {
        constructor(program, options) {
          const isUp = new Int32Array(new SharedArrayBuffer(4));
          const tell = "{ const { isUp } = require('node:worker_threads').workerData;" +
            "Atomics.store(isUp, 0, 1); Atomics.notify(isUp, 0); }";
          super(${JSON.stringify(BROKEN[how])} + tell + program, {
            ...options,
            workerData: { ...options.workerData, isUp },
          });
          Atomics.wait(isUp, 0, 0, 10000);
        }
      };
      require('node:module').syncBuiltinESMExports();
    }`;
}
