import type { SettingFlags } from '../config/settings.js';
import { KbError } from '../errors.js';
import { shortName, type Oid, type RefName } from '../git/ids.js';
import { GitIndex } from '../git/index/index-file.js';
import { readShallow } from '../git/objects/history.js';
import { ObjectStore } from '../git/objects/store.js';
import { Worktree } from '../git/worktree/worktree.js';
import { conversionsOf } from './content-rules.js';
import { findGround, groundAt, type Ground, type OpenRequest } from './ground.js';
import { noBranch } from './pinned.js';
import type { CommitSigner } from './signing/signer.js';
import { sparseCheckoutOf } from './sparse.js';
import type { Surroundings } from './surroundings.js';
import { volumeSettings } from './volume-settings.js';

/** An open KB: where it is, what it is set to, and the parts of its repository. */
export interface Kb extends Ground {
  readonly objects: ObjectStore;
  readonly worktree: Worktree;
  /** Signs the commits of branches (`commit.gpgSign`); undefined: they are not to be signed. */
  readonly signer: CommitSigner | undefined;
  /** Commits whose parents were not fetched; read anew after each fetch. */
  readonly shallow: () => ReadonlySet<Oid>;
}

/** Finds and opens the KB that a command means. @throws KbError as findGround */
export async function openKb(surroundings: Surroundings, request: OpenRequest): Promise<Kb> {
  return openOn(await findGround(surroundings, request));
}

/** Opens the KB whose root directory is known. @throws KbError as findGround */
export async function openKbAt(surroundings: Surroundings, root: string, flags: SettingFlags): Promise<Kb> {
  return openOn(await groundAt(surroundings, root, flags));
}

/** Opens the KB that was found. @throws KbError E_USAGE (how commits are to be signed) */
export async function openOn(ground: Ground): Promise<Kb> {
  const { root, gitDir, surroundings, gitConfig, promisor } = ground;
  const { disk } = surroundings;
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
    ...ground,
    objects,
    worktree,
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

/** `{ key: value }`, or nothing when the value is undefined: what exactOptionalPropertyTypes asks for. */
export function optional<Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, Value>);
}
