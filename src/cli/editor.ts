import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree, temporaryName, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import type { Surroundings } from '../kb/surroundings.js';

/** What was saved in an editor. The file stays until `discard`, so that no failure afterwards loses the text. */
export interface EditorCopy {
  readonly file: string;
  readonly data: Buffer;
  discard(): void;
}

/**
 * The command that opens the user's editor. It may hold arguments (`code --wait`).
 * @throws KbError E_USAGE when none is set
 */
export function chosenEditor(env: NodeJS.ProcessEnv): string {
  const editor = env['VISUAL'] || env['EDITOR'];
  if (editor !== undefined && editor !== '') return editor;
  throw new KbError('E_USAGE', 'no editor is set', { hint: 'set EDITOR, for example: export EDITOR=nano' });
}

/**
 * Opens the user's editor on a private copy and waits until it ends.
 * @param name of the copy; editors tell by it what kind of file it is
 * @throws KbError E_USAGE when there is no editor or it fails; E_INTERRUPTED when it was ended by Ctrl-C; the signal's
 *   reason. What was written stays in the file that the hint names.
 */
export async function openInEditor(surroundings: Surroundings, name: string, text: Buffer): Promise<EditorCopy> {
  const { disk, env, signal } = surroundings;
  const editor = chosenEditor(env);
  signal?.throwIfAborted();
  // A folder of our own: nobody else can put a link or another file in the place of the copy, or read it.
  const directory = join(tmpdir(), temporaryName('edit'));
  disk.mkdirSync(directory, { mode: 0o700 });
  const file = join(directory, name);
  const discard = (): void => removeTree(disk, directory);
  try {
    writeFileAtomic(disk, file, text, { mode: 0o600, durable: false });
    const failure = await runEditor(editor, file, env, signal);
    if (failure === undefined) return { file, data: disk.readFileSync(file), discard };
    throw failure;
  } catch (error) {
    throw keepWhatWasWritten(surroundings, error, { file, text, discard });
  }
}

/** The error, with the place of the text in its hint; where nothing was written, nothing is left behind. */
function keepWhatWasWritten(
  { disk, report }: Surroundings,
  error: unknown,
  copy: { readonly file: string; readonly text: Buffer; readonly discard: () => void },
): unknown {
  let written: Buffer | undefined;
  try {
    written = disk.readFileSync(copy.file);
  } catch {
    // the editor removed it, or the disk failed: there is no text that could be named
  }
  if (written === undefined || written.equals(copy.text)) {
    copy.discard();
    return error;
  }
  const where = `the text so far is in ${copy.file}`;
  if (error instanceof KbError && error.code === 'E_USAGE')
    return new KbError('E_USAGE', error.message, { hint: where, cause: error, details: { file: copy.file } });
  // A signal's own message says nothing of a text, and is the one that is printed.
  report({ kind: 'warning', text: where });
  return error;
}

/**
 * Through the shell, as git does: the variable is the user's own. Source: git-var(1), GIT_EDITOR.
 * @returns why nothing may be made of the text; undefined: the editor says that all is well
 */
async function runEditor(
  editor: string,
  file: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<KbError | undefined> {
  const returnInterrupts = leaveInterruptsToEditor();
  // The editor in the place of the shell where the words allow it: a signal to the one is then one to the other.
  const exec = PLAIN_WORDS.test(editor) ? 'exec ' : '';
  const child = spawn('sh', ['-c', `${exec}${editor} "$@"`, editor, file], {
    // What an editor draws is no result: it must not end up in the pipe that waits for one.
    stdio: ['inherit', process.stdout.isTTY ? 'inherit' : 2, 'inherit'],
    env,
  });
  const stop = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const end = await new Promise<Ending>((resolve) => {
      child.on('error', (error) => resolve({ error }));
      child.on('exit', (code, killedBy) => resolve({ code, killedBy }));
    });
    signal?.throwIfAborted();
    return judge(end);
  } finally {
    signal?.removeEventListener('abort', stop);
    returnInterrupts();
  }
}

/** A program and its arguments, without anything that only a shell can make sense of. */
const PLAIN_WORDS = /^[\w./@:+,-]+(?: +[\w./@:+,=-]+)*$/;

type Ending = { readonly error: Error } | { readonly code: number | null; readonly killedBy: NodeJS.Signals | null };

/** What shells make of a child that SIGINT ended. */
const INTERRUPTED = 130;

function judge(end: Ending): KbError | undefined {
  if ('error' in end) {
    return new KbError('E_USAGE', `the editor could not be started: ${end.error.message}`, {
      cause: end.error,
      hint: 'check EDITOR and VISUAL, and that sh is on PATH',
    });
  }
  if (end.killedBy === 'SIGINT' || end.code === INTERRUPTED)
    return new KbError('E_INTERRUPTED', 'the editor was interrupted; nothing was written');
  if (end.code === 0) return undefined;
  const how = end.code === null ? `was ended by ${end.killedBy ?? 'a signal'}` : `ended with exit code ${end.code}`;
  return new KbError('E_USAGE', `the editor ${how}; nothing was written`, { hint: 'run the same command again' });
}

/**
 * Ctrl-C goes to all programs of a terminal: while the editor has it, it is the editor's key, and kb waits for
 * what becomes of it. Source: launch_editor in git's editor.c.
 * @returns gives the signal back to who listened before
 */
function leaveInterruptsToEditor(): () => void {
  const listeners = process.listeners('SIGINT');
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  for (const listener of listeners) process.off('SIGINT', listener);
  return () => {
    for (const listener of listeners) process.on('SIGINT', listener);
    process.off('SIGINT', ignore);
  };
}
