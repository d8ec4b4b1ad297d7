import { spawn, type ChildProcess } from 'node:child_process';
import { KbError, isKbError, type ErrorCode } from '../errors.js';

/** What the process in the background says to its starter: that it runs, or why it does not. */
type Word =
  | { readonly kind: 'started' }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

/** A request, and the two ways to answer it; after the first answer nobody listens. */
export interface TakenRequest {
  readonly request: unknown;
  readonly started: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Starts this program again as a process of its own that outlives this one, its terminal and its Ctrl-C. What it is to
 * do goes over a channel: the arguments of a process are there for everybody to read.
 * @param args a command that calls `takeRequest`
 * @returns when it called `started`
 * @throws KbError what it failed with before that; E_INTERNAL when it cannot be started
 */
export async function startInBackground(args: readonly string[], request: object): Promise<void> {
  const [program = ''] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error) => reject(notStarted(error.message)));
      child.once('exit', (code, signal) => reject(notStarted(`it ended with ${String(code ?? signal)}`)));
      child.once('message', (word: Word) => (word.kind === 'started' ? resolve() : reject(asThrown(word))));
      child.send(request, (error) => error !== null && reject(notStarted(error.message)));
    });
  } finally {
    letGo(child);
  }
}

function letGo(child: ChildProcess): void {
  child.removeAllListeners();
  child.on('error', () => undefined); // whatever happens to it now is its own
  if (child.connected) child.disconnect();
  child.unref();
}

function notStarted(why: string): KbError {
  return new KbError('E_INTERNAL', `the process in the background did not start: ${why}`);
}

function asThrown({ code, message, hint }: Extract<Word, { kind: 'failed' }>): KbError {
  return new KbError(code, message, { hint });
}

/** What the process that started this one wants of it. @throws KbError E_USAGE when it was not started that way */
export async function takeRequest(): Promise<TakenRequest> {
  if (process.send === undefined) throw new KbError('E_USAGE', 'this is how kb starts itself; it is not to be typed');
  const request = await new Promise<unknown>((resolve, reject) => {
    process.once('message', resolve);
    process.once('disconnect', () => reject(new KbError('E_INTERRUPTED', 'whoever started this is gone')));
  });
  // Once it is answered the channel would only keep the process from ending.
  const answer = (word: Word): void => {
    if (process.connected) process.send?.(word, () => process.connected && process.disconnect());
  };
  return {
    request,
    started: () => answer({ kind: 'started' }),
    failed: (error) => {
      if (isKbError(error)) answer({ kind: 'failed', code: error.code, message: error.message, hint: error.hint });
    },
  };
}
