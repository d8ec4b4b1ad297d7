import { delimiter, isAbsolute, join } from 'node:path';
import type { Disk } from '../../disk/disk.js';

/** X_OK of access(2). */
const MAY_EXECUTE = 1;

/** Where git keeps helpers of its own, such as osxkeychain and cache, which are on nobody's PATH. */
const GIT_PLACES = [
  '/usr/lib/git-core',
  '/usr/libexec/git-core',
  '/usr/local/libexec/git-core',
  '/opt/homebrew/libexec/git-core',
  '/Library/Developer/CommandLineTools/usr/libexec/git-core',
];

/** The path of a program: on PATH, else where git keeps its own. @returns undefined when there is none */
export function findProgram(
  name: string,
  { disk, env }: { readonly disk: Disk; readonly env: NodeJS.ProcessEnv },
): string | undefined {
  if (name.includes('/')) return undefined;
  const places = [env['GIT_EXEC_PATH'] ?? '', ...(env['PATH'] ?? '').split(delimiter), ...GIT_PLACES];
  return places
    .filter(isAbsolute)
    .map((place) => join(place, name))
    .find((path) => isExecutable(disk, path));
}

function isExecutable(disk: Disk, path: string): boolean {
  try {
    disk.accessSync(path, MAY_EXECUTE);
    return disk.statSync(path).isFile();
  } catch {
    return false;
  }
}
