import { join } from 'node:path';
import { GitConfig } from '../config/git-config.js';
import { homeDirectory } from '../config/locations.js';
import { loadSettings, type Setting, type SettingFlags, type Settings } from '../config/settings.js';
import { isErrno } from '../disk/durable.js';
import { lockMarksOf, type LockMarks } from '../disk/lock-marks.js';
import { KbError } from '../errors.js';
import { shortName } from '../git/ids.js';
import { Refs } from '../git/refs/refs.js';
import { processWord } from '../lock/process-word.js';
import { locateKb } from './locate.js';
import { promisorOf, type Promisor } from './promisor.js';
import type { Surroundings } from './surroundings.js';
import { requireTrustedOwner } from './trusted-owner.js';

/**
 * Where a KB is and what it is set to: what a question to its remote takes. Apart from the rest of a KB, so that a
 * command can ask before it has loaded what reads objects and files.
 */
export interface Ground {
  readonly root: string;
  readonly gitDir: string;
  readonly surroundings: Surroundings;
  readonly settings: Settings;
  readonly explainSettings: () => Setting[];
  readonly gitConfig: GitConfig;
  /** Of a partial clone; undefined: everything is here. */
  readonly promisor: Promisor | undefined;
  readonly refs: Refs;
  /** Says whose lock files they are that this process takes from git. */
  readonly lockMarks: LockMarks;
}

export interface OpenRequest {
  readonly kb?: string;
  readonly flags?: SettingFlags;
}

/**
 * Finds the KB that a command means.
 * @throws KbError E_NO_KB, E_UNSAFE_STATE (foreign owner, a repository form that kb does not handle), E_USAGE (settings)
 */
export async function findGround(surroundings: Surroundings, request: OpenRequest): Promise<Ground> {
  const { disk, env, cwd } = surroundings;
  const chosen = request.kb ?? env['KB_PATH'];
  const root = await locateKb({
    disk,
    env,
    cwd,
    ...(chosen === undefined ? {} : { chosen }),
    fallback: async () => (await loadSettings({ disk, env, flags: {} })).settings.defaultKb,
  });
  return groundAt(surroundings, root, request.flags ?? {});
}

/** That of the KB whose root directory is known. @throws KbError as findGround */
export async function groundAt(surroundings: Surroundings, root: string, flags: SettingFlags): Promise<Ground> {
  const { disk, env } = surroundings;
  const gitDir = join(root, '.git');
  requireOwnGitDirectory(surroundings, gitDir);
  requireTrustedOwner(disk, root, gitDir, () => GitConfig.load({ disk, env, home: homeDirectory(env) }));
  const lockMarks = lockMarksOf(gitDir, () => processWord(surroundings.identity));
  const refs = Refs.open(disk, gitDir, { marks: lockMarks });
  const { branch } = refs.head();
  const onBranch = branch === undefined ? {} : { branch: shortName(branch) };
  const gitConfig = GitConfig.load({ disk, gitDir, env, home: homeDirectory(env), ...onBranch });
  const promisor = requireKnownFormat(gitConfig, root);
  const loaded = await loadSettings({ disk, env, kbRoot: root, gitConfig, flags });
  return {
    root,
    gitDir,
    surroundings,
    settings: loaded.settings,
    explainSettings: () => loaded.explain(),
    gitConfig,
    promisor,
    refs,
    lockMarks,
  };
}

function requireOwnGitDirectory({ disk }: Surroundings, gitDir: string): void {
  let isDirectory: boolean;
  try {
    isDirectory = disk.lstatSync(gitDir).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) throw new KbError('E_NO_KB', `no KB at ${gitDir}`, { cause: error });
    throw error;
  }
  if (isDirectory) return;
  throw new KbError('E_UNSAFE_STATE', `${gitDir} is no directory: linked worktrees and submodules are not handled`, {
    hint: 'use a clone of its own: kb clone URL',
  });
}

/** Whoever does not know an extension must not touch the repository. Git's format 0 has none that others need to know. */
const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set(
  ['noop', 'noop-v1', 'objectformat', 'refstorage', 'partialclone', 'preciousobjects', 'worktreeconfig'].map(
    (name) => `extensions.${name}`,
  ),
);

/** Source of the rules: Documentation/technical/repository-version.txt of git. */
function requireKnownFormat(config: GitConfig, root: string): Promisor | undefined {
  const refuse = (what: string): never => {
    throw new KbError('E_UNSAFE_STATE', `${root} ${what}, which kb does not handle`, {
      hint: 'clone it anew with: kb clone URL',
    });
  };
  const version = config.get('core.repositoryformatversion') ?? '0';
  if (version !== '0' && version !== '1') refuse(`has repository format ${version}`);
  if (config.getBoolean('core.bare', false)) {
    throw new KbError('E_NO_KB', `${root} is a bare repository, without a work tree`, {
      hint: `clone it: kb clone ${root}`,
    });
  }
  if (config.get('core.worktree') !== undefined) refuse('has its work tree elsewhere (core.worktree)');
  const format = config.get('extensions.objectformat') ?? 'sha1';
  if (format !== 'sha1') refuse(`uses ${format} object ids`);
  const storage = config.get('extensions.refstorage') ?? 'files';
  if (storage !== 'files') refuse(`keeps its refs as ${storage}`);
  const own = join(root, '.git', 'config');
  for (const { key, source } of config.entries())
    if (version === '1' && source === own && key.startsWith('extensions.') && !KNOWN_EXTENSIONS.has(key))
      refuse(`uses ${key}`);
  const promisor = promisorOf(config);
  if (typeof promisor === 'string') return refuse(promisor);
  return promisor;
}
