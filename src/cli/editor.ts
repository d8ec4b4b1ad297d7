import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KbError } from '../errors.js';
import type { Surroundings } from '../kb/surroundings.js';

/**
 * Opens the user's editor on an empty file and gives what was saved. The variable may hold arguments
 * (`code --wait`) and is the user's own, so it goes through the shell as git's does. Source: git-var(1), GIT_EDITOR.
 * @throws KbError E_USAGE when there is no editor or it fails; the text then stays in the file that is named
 */
export async function writeInEditor({ env, signal }: Surroundings): Promise<string> {
  const editor = env['VISUAL'] || env['EDITOR'];
  if (editor === undefined) throw new KbError('E_USAGE', 'no editor is set', { hint: 'set EDITOR, for example: export EDITOR=nano' });
  const directory = mkdtempSync(join(tmpdir(), 'kb-note-'));
  const file = join(directory, 'NOTE.md');
  writeFileSync(file, '', { mode: 0o600 });
  const exitCode = await runEditor(editor, file, signal);
  if (exitCode !== 0) {
    throw new KbError('E_USAGE', `the editor ended with exit code ${exitCode}; nothing was written`, { hint: `the text so far is in ${file}` });
  }
  const text = readFileSync(file, 'utf8');
  rmSync(directory, { recursive: true });
  return text;
}

function runEditor(editor: string, file: string, signal: AbortSignal | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', `${editor} "$@"`, editor, file], { stdio: 'inherit', ...(signal === undefined ? {} : { signal }) });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
