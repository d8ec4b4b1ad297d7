import { KbError } from '../errors.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What `kb run` makes of the signals that it gets. */
export interface RunSignals {
  /** The first one: the work, and the command, are asked to end. */
  readonly stop: AbortSignal;
  /** The second one while the command runs: it is ended without asking. */
  readonly kill: AbortSignal;
  /** To be told when the command starts and when it has ended. */
  readonly onChild: (runs: boolean) => void;
}

/**
 * Takes the signals over. While a command has the terminal, the key for interrupt reaches it directly, and what it
 * makes of that is its own business (an editor or a shell goes on), so kb waits for it. When nothing runs that would
 * have to be ended first, a second signal ends kb at once: the lock is given back by its exit hook, and what the run
 * had changed stays in the files.
 */
export function takeSignals(foreground: boolean): RunSignals {
  const [stop, kill] = [new AbortController(), new AbortController()];
  let childRuns = false;
  const onSignal = (name: NodeJS.Signals): void => {
    const isInterrupt = name === 'SIGINT';
    if (isInterrupt && foreground && childRuns) return;
    if (!stop.signal.aborted) stop.abort(reasonOf(isInterrupt));
    else if (childRuns && !kill.signal.aborted) kill.abort();
    else process.exit(isInterrupt ? 130 : 143);
  };
  for (const name of SIGNALS) {
    process.removeAllListeners(name); // the ones for all commands, which a second signal ends at once
    process.on(name, onSignal);
  }
  return { stop: stop.signal, kill: kill.signal, onChild: (runs) => (childRuns = runs) };
}

function reasonOf(isInterrupt: boolean): KbError {
  return isInterrupt
    ? new KbError('E_INTERRUPTED', 'interrupted; locks are released and nothing is half done')
    : new KbError('E_TERMINATED', 'terminated; locks are released and nothing is half done');
}
