import { isAbsolute, relative, resolve, sep } from 'node:path';
import { readSetting } from '../../config/settings-schema.js';
import { isErrno } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import type { Kb } from '../open.js';

/** The only folder that a run with `--topics-only` may change. */
export const TOPICS = 'topics';

export interface FolderRequest {
  /** Where the command starts, relative to the KB's root. */
  readonly cwd?: string;
  /** It starts in `topics/`, or, with `cwd`, below it. */
  readonly topicsOnly: boolean;
}

/**
 * The absolute path of the folder that the command starts in. Links are followed before it is judged: a link in the
 * KB must not lead a run out of it.
 * @param ifMissing `undefined`: a folder that is not there may still come with a pull
 * @throws KbError E_USAGE
 */
export function findFolder(kb: Kb, request: FolderRequest, ifMissing: 'undefined' | 'refuse'): string | undefined {
  const { disk } = kb.surroundings;
  const named = request.cwd ?? (request.topicsOnly ? TOPICS : '.');
  const root = disk.realpathSync(kb.root);
  const planned = resolve(root, named);
  requireInside(planned, root, named, 'the KB');
  let real: string;
  try {
    real = disk.realpathSync(planned);
    if (!disk.statSync(real).isDirectory()) throw new KbError('E_USAGE', `${JSON.stringify(named)} is no folder`);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    if (ifMissing === 'undefined') return undefined;
    throw new KbError('E_USAGE', `there is no folder ${JSON.stringify(named)} in the KB`, {
      hint: request.topicsOnly
        ? `make it with its first file, for example: kb note --dir ${TOPICS} "…"`
        : 'name one that is there, relative to the root of the KB',
      cause: error,
    });
  }
  requireInside(real, root, named, 'the KB');
  if (real === resolve(root, '.git') || real.startsWith(resolve(root, '.git') + sep))
    throw new KbError('E_USAGE', `${JSON.stringify(named)} is git's own folder`);
  if (request.topicsOnly) requireInside(real, resolve(root, TOPICS), named, `${TOPICS}/`);
  return real;
}

function requireInside(path: string, folder: string, named: string, what: string): void {
  const way = relative(folder, path);
  if (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)) return;
  throw new KbError('E_USAGE', `${JSON.stringify(named)} is not inside ${what}`, {
    hint: '--cwd is a folder of the KB, relative to its root',
  });
}

/** @throws KbError E_USAGE when KB_TOPICS_ONLY is neither true nor false */
export function topicsOnlyByEnvironment(env: NodeJS.ProcessEnv): boolean {
  const text = env['KB_TOPICS_ONLY'];
  const row = { key: 'topicsOnly', kind: 'boolean', description: '' } as const;
  return text === undefined || text === '' ? false : readSetting(row, text, 'KB_TOPICS_ONLY') === true;
}
