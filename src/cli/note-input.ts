import { resolve } from 'node:path';
import { asStorageError, isErrno } from '../disk/durable.js';
import { KbError } from '../errors.js';
import type { EditorCopy } from './editor.js';
import type { Surroundings } from '../kb/surroundings.js';

export interface NoteInput {
  readonly words: readonly string[];
  readonly file: string | undefined;
  readonly edit: boolean;
  readonly heading: string | undefined;
  /** The text from an editor, which is in a file until that is discarded. */
  readonly onCopy: (copy: EditorCopy) => void;
}

/**
 * The text of a note, from the one place that was named: arguments, a file, an editor, or standard input
 * (`-`, or a pipe when nothing else was named: a loop's own input must not be eaten by a note with words).
 * @throws KbError E_USAGE
 */
export async function readNoteText(surroundings: Surroundings, input: NoteInput): Promise<string> {
  const hasWords = input.words.length > 0;
  if ([hasWords, input.file !== undefined, input.edit].filter(Boolean).length > 1) {
    throw new KbError('E_USAGE', 'the text was given in more than one way', {
      hint: 'use either words, --file or --edit',
    });
  }
  if (input.file !== undefined) return readTextFile(surroundings, input.file);
  if (input.edit) {
    const { openInEditor } = await import('./editor.js');
    const copy = await openInEditor(surroundings, 'NOTE.md', Buffer.alloc(0));
    input.onCopy(copy);
    return requireText(copy.data, 'the text');
  }
  if (hasWords && !(input.words.length === 1 && input.words[0] === '-')) return input.words.join(' ');
  if (!hasWords && process.stdin.isTTY) {
    throw new KbError('E_USAGE', 'the note has no text', { hint: 'give it: kb note "…", pipe it in, or use --edit' });
  }
  return readStandardInput(surroundings.signal);
}

function readTextFile({ disk, cwd }: Surroundings, file: string): string {
  try {
    return requireText(disk.readFileSync(resolve(cwd, file)), file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR'))
      throw new KbError('E_USAGE', `cannot read ${file}: it is no file`, { cause: error });
    throw asStorageError(error, `read ${file}`);
  }
}

async function readStandardInput(signal: AbortSignal | undefined): Promise<string> {
  const chunks: Buffer[] = [];
  const stop = (): void => void process.stdin.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  return requireText(Buffer.concat(chunks), 'standard input');
}

/** A note is text; bytes that are no UTF-8 would be replaced by others without anybody noticing. */
function requireText(bytes: Buffer, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new KbError('E_USAGE', `${source} is not UTF-8 text`, {
      cause: error,
      hint: 'convert it first, for example: iconv -f latin1 -t utf-8',
    });
  }
}
