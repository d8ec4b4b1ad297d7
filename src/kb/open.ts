import { join } from 'node:path';
import { GitConfig } from '../config/git-config.js';
import { remoteAddresses } from '../config/git-instead-of.js';
import { homeDirectory } from '../config/locations.js';
import { loadSettings, type SettingFlags, type Setting, type Settings } from '../config/settings.js';
import { isErrno } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { asRefName, branchRef, shortName, type Oid, type RefName } from '../git/ids.js';
import { lockMarksOf, type LockMarks } from '../disk/lock-marks.js';
import { readShallow } from '../git/objects/history.js';
import { ObjectStore } from '../git/objects/store.js';
import { GitIndex } from '../git/index/index-file.js';
import { Refs } from '../git/refs/refs.js';
import { Worktree } from '../git/worktree/worktree.js';
import { conversionsOf } from './content-rules.js';
import { processWord } from '../lock/process-word.js';
import { requireTrustedOwner } from './trusted-owner.js';
import { locateKb } from './locate.js';
import { noBranch } from './pinned.js';
import { promisorOf, type Promisor } from './promisor.js';
import type { CommitSigner } from './signing/signer.js';
import { sparseCheckoutOf } from './sparse.js';
import type { Surroundings } from './surroundings.js';
import { volumeSettings } from './volume-settings.js';

/** An open KB: where it is, what it is set to, and the parts of its repository. */
export interface Kb {
  readonly root: string;
  readonly gitDir: string;
  readonly surroundings: Surroundings;
  readonly settings: Settings;
  readonly explainSettings: () => Setting[];
  readonly gitConfig: GitConfig;
  readonly objects: ObjectStore;
  /** Of a partial clone; undefined: everything is here. */
  readonly promisor: Promisor | undefined;
  readonly refs: Refs;
  readonly worktree: Worktree;
  /** Says whose lock files they are that this process takes from git. */
  readonly lockMarks: LockMarks;
  /** Signs the commits of branches (`commit.gpgSign`); undefined: they are not to be signed. */
  readonly signer: CommitSigner | undefined;
  /** Commits whose parents were not fetched; read anew after each fetch. */
  readonly shallow: () => ReadonlySet<Oid>;
}

export interface OpenRequest {
  readonly kb?: string;
  readonly flags?: SettingFlags;
}

/**
 * Finds and opens the KB that a command means.
 * @throws KbError E_NO_KB, E_UNSAFE_STATE (foreign owner, a repository form that kb does not handle), E_USAGE (settings)
 */
export async function openKb(surroundings: Surroundings, request: OpenRequest): Promise<Kb> {
  const { disk, env, cwd } = surroundings;
  const root = await locateKb({
    disk,
    env,
    cwd,
    ...optional('chosen', request.kb ?? env['KB_PATH']),
    fallback: async () => (await loadSettings({ disk, env, flags: {} })).settings.defaultKb,
  });
  return openKbAt(surroundings, root, request.flags ?? {});
}

/** Opens the KB whose root directory is known. @throws KbError as openKb */
export async function openKbAt(surroundings: Surroundings, root: string, flags: SettingFlags): Promise<Kb> {
  const { disk, env } = surroundings;
  const gitDir = join(root, '.git');
  requireOwnGitDirectory(surroundings, gitDir);
  requireTrustedOwner(disk, root, gitDir, () => GitConfig.load({ disk, env, home: homeDirectory(env) }));
  const lockMarks = lockMarksOf(gitDir, processWord(surroundings.identity));
  const refs = Refs.open(disk, gitDir, { marks: lockMarks });
  const { branch } = refs.head();
  const onBranch = branch === undefined ? {} : { branch: shortName(branch) };
  const gitConfig = GitConfig.load({ disk, gitDir, env, home: homeDirectory(env), ...onBranch });
  const promisor = requireKnownFormat(gitConfig, root);
  const loaded = await loadSettings({ disk, env, kbRoot: root, gitConfig, flags });
  const objects = ObjectStore.open(disk, gitDir, {}, promisor?.remoteName);
  const conversions = conversionsOf(
    surroundings,
    { root, gitDir, gitConfig },
    {
      index: () => GitIndex.read(disk, gitDir),
      blob: (oid) => objects.find(oid)?.data,
    },
  );
  const worktree = new Worktree(disk, root, gitDir, {
    ...volumeSettings(gitConfig),
    conversions,
    ...optional('cone', sparseCheckoutOf(disk, gitDir, gitConfig)),
  });
  return {
    root,
    gitDir,
    surroundings,
    settings: loaded.settings,
    explainSettings: () => loaded.explain(),
    gitConfig,
    objects,
    promisor,
    refs,
    worktree,
    lockMarks,
    // Most users sign nothing: then nothing of it is loaded.
    signer: gitConfig.getBoolean('commit.gpgsign', false)
      ? (await import('./signing/signer.js')).commitSigner(surroundings, gitConfig, root)
      : undefined,
    shallow: () => readShallow(disk, gitDir),
  };
}

export interface CheckedOutBranch {
  readonly name: string;
  readonly ref: RefName;
  /** undefined: the branch has no commit yet */
  readonly commit: Oid | undefined;
}

/**
 * The branch that a cycle works on.
 * @throws KbError E_UNSAFE_STATE on a detached HEAD, or when the settings name another branch: an edit
 *   must never land on a branch that nobody meant
 */
export function checkedOutBranch(kb: Kb): CheckedOutBranch {
  const head = kb.refs.head();
  if (head.branch === undefined) throw noBranch(kb);
  const name = shortName(head.branch);
  const wanted = kb.settings.branch;
  // A session's branch may be checked out where the settings name the one that it began at.
  if (wanted !== undefined && wanted !== name && name !== kb.settings.sessionBranch) {
    throw new KbError('E_UNSAFE_STATE', `the KB is on branch "${name}", but the settings ask for "${wanted}"`, {
      hint: `kb switch ${wanted}; or unset the branch setting (see: kb config)`,
    });
  }
  return { name, ref: head.branch, commit: head.oid };
}

export interface Upstream {
  readonly remoteName: string;
  /** With `insteadOf` applied. */
  readonly url: string;
  /** Where pushes go, if that is another address. */
  readonly pushUrl?: string;
  /** The branch's name on the remote. */
  readonly ref: RefName;
  /** Where this KB remembers it. */
  readonly tracking: RefName;
}

/** The remote branch that the branch is shared with; undefined when the KB has no remote. */
export function upstreamOf(kb: Kb, branch: string): Upstream | undefined {
  const remoteName = kb.gitConfig.get(`branch.${branch}.remote`) ?? kb.settings.remote;
  const [configured] = kb.gitConfig.getAll(`remote.${remoteName}.url`);
  if (configured === undefined) return undefined;
  const [pushConfigured] = kb.gitConfig.getAll(`remote.${remoteName}.pushurl`);
  const { fetch: url, push: pushUrl } = remoteAddresses(kb.gitConfig, configured, pushConfigured);
  const merge = kb.gitConfig.get(`branch.${branch}.merge`);
  const ref = merge === undefined ? branchRef(branch) : asRefName(merge);
  return {
    remoteName,
    url,
    ...optional('pushUrl', pushUrl),
    ref,
    tracking: asRefName(`refs/remotes/${remoteName}/${shortName(ref)}`),
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

/** `{ key: value }`, or nothing when the value is undefined: what exactOptionalPropertyTypes asks for. */
export function optional<Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, Value>);
}
