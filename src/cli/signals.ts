import { KbError } from '../errors.js';

/**
 * The first SIGINT or SIGTERM stops the work in an orderly way: requests are cut, locks released, nothing is
 * left half done. A second one ends the process at once (the lock is still released by its exit hook).
 */
export function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    const isInterrupt = signal === 'SIGINT';
    if (controller.signal.aborted) process.exit(isInterrupt ? 130 : 143);
    controller.abort(
      isInterrupt
        ? new KbError('E_INTERRUPTED', 'interrupted; locks are released and nothing is half done')
        : new KbError('E_TERMINATED', 'terminated; locks are released and nothing is half done'),
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  return controller.signal;
}
