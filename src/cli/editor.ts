import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree, temporaryName, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import type { Surroundings } from '../kb/surroundings.js';

/**
 * Opens the user's editor on an empty file and gives what was saved. The variable may hold arguments
 * (`code --wait`) and is the user's own, so it goes through the shell as git's does. Source: git-var(1), GIT_EDITOR.
 * @throws KbError E_USAGE when there is no editor or it fails; the text then stays in the file that is named
 */
export async function writeInEditor({ disk, env, signal }: Surroundings): Promise<string> {
  const editor = env['VISUAL'] || env['EDITOR'];
  if (editor === undefined)
    throw new KbError('E_USAGE', 'no editor is set', { hint: 'set EDITOR, for example: export EDITOR=nano' });
  // A folder of our own: nobody else can put a link or another file in the place of the note.
  const directory = join(tmpdir(), temporaryName('note'));
  disk.mkdirSync(directory, { mode: 0o700 });
  const file = join(directory, 'NOTE.md');
  writeFileAtomic(disk, file, '', { mode: 0o600, durable: false });
  const exitCode = await runEditor(editor, file, signal);
  if (exitCode !== 0) {
    throw new KbError('E_USAGE', `the editor ended with exit code ${exitCode}; nothing was written`, {
      hint: `the text so far is in ${file}`,
    });
  }
  const text = disk.readFileSync(file, 'utf8');
  removeTree(disk, directory);
  return text;
}

function runEditor(editor: string, file: string, signal: AbortSignal | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', `${editor} "$@"`, editor, file], {
      stdio: 'inherit',
      ...(signal === undefined ? {} : { signal }),
    });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
