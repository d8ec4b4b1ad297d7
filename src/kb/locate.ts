import { dirname, isAbsolute, join, resolve } from 'node:path';
import { findRegistered } from '../config/registry.js';
import { isErrno } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { whyNoKbYet } from './clone-record.js';

export interface LocateRequest {
  readonly disk: Disk;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** `--kb` or `KB_PATH`: a directory, or a name from `kb list`. */
  readonly chosen?: string;
  /** The user's configured default, read only when nothing nearer was found. */
  readonly fallback: () => Promise<string | undefined>;
}

/**
 * The KB's root directory: the one chosen, else the nearest enclosing one, else the user's default.
 * @throws KbError E_NO_KB
 */
export async function locateKb(request: LocateRequest): Promise<string> {
  if (request.chosen !== undefined && request.chosen !== '') return chosenKb(request, request.chosen);
  const enclosing = enclosingKb(request.disk, request.cwd);
  refuseWhileCloning(request, request.cwd, enclosing);
  if (enclosing !== undefined) return enclosing;
  const fallback = await request.fallback();
  if (fallback !== undefined) return chosenKb(request, fallback);
  throw new KbError('E_NO_KB', `no KB in ${request.cwd} or above it`);
}

function chosenKb(request: LocateRequest, chosen: string): string {
  const registered = /[/\\]/.test(chosen) ? undefined : findRegistered(request.disk, request.env, chosen);
  const directory = registered?.directory ?? (isAbsolute(chosen) ? chosen : resolve(request.cwd, chosen));
  const root = enclosingKb(request.disk, directory);
  refuseWhileCloning(request, directory, root);
  if (root !== undefined) return root;
  throw new KbError('E_NO_KB', `no KB at ${directory}`, {
    hint:
      registered === undefined
        ? 'see the known ones with: kb list, or make one with: kb clone URL'
        : `it was registered as "${chosen}"; clone it again: kb clone URL ${directory} --name ${chosen}`,
  });
}

/**
 * A directory that is being cloned into is no KB yet, and belongs to none: an edit there must not end up in another KB
 * that happens to lie around it.
 */
function refuseWhileCloning({ disk, cwd }: LocateRequest, from: string, root: string | undefined): void {
  for (let directory = resolve(from); directory !== root; directory = dirname(directory)) {
    const why = whyNoKbYet(disk, directory, directory === resolve(cwd));
    if (why !== undefined) throw why;
    if (dirname(directory) === directory) return;
  }
}

/** The nearest directory, from this one upwards, that holds a `.git`. */
export function enclosingKb(disk: Disk, from: string): string | undefined {
  for (let directory = resolve(from); ; directory = dirname(directory)) {
    if (isThere(disk, join(directory, '.git'))) return directory;
    if (dirname(directory) === directory) return undefined;
  }
}

function isThere(disk: Disk, path: string): boolean {
  try {
    disk.lstatSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    if (isErrno(error, 'EACCES')) return false;
    throw error;
  }
}
