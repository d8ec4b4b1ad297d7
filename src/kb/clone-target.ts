import { KbError } from '../errors.js';
import { asRefName, branchRef, isOid, type Oid, type RefName } from '../git/ids.js';
import type { ObjectStore } from '../git/objects/store.js';
import type { Discovery } from '../remote/remote.js';
import { requireBranchName } from './branch-name.js';

/** What a clone checks out. */
export type CloneTarget =
  | {
      readonly kind: 'branch';
      /** The local branch. */
      readonly ref: RefName;
      /** The remote branch that it begins at: its own, or of a new session the default branch. */
      readonly from: RefName;
      /** undefined: the branch has no commit yet */
      readonly want: Oid | undefined;
    }
  | {
      /** A tag, or a commit by its id: nothing can be committed there. */
      readonly kind: 'pinned';
      /** As it was asked for. */
      readonly name: string;
      readonly tag: RefName | undefined;
      /** The commit, or the tag's object that leads to it. */
      readonly want: Oid;
    };

export interface WantedTarget {
  /** A branch, a tag, or the whole id of a commit; undefined: the default branch. */
  readonly named: string | undefined;
  /** The branch to work on, which begins at the other one where it does not exist. */
  readonly session: string | undefined;
}

/** The refs that have to be known to choose. @throws KbError E_USAGE for what cannot be a name */
export function refsToAsk({ named, session }: WantedTarget): string[] {
  return [
    'HEAD',
    ...(named === undefined ? ['refs/heads/main', 'refs/heads/master'] : [branchRef(named), tagRef(named)]),
    ...(session === undefined ? [] : [requireBranchName(session)]),
  ];
}

/**
 * A branch goes before a tag of the same name, and a tag before a commit.
 * @returns undefined where the remote has nothing of the name
 * @throws KbError E_USAGE for a session upon a tag or commit
 */
export function chooseTarget(discovery: Discovery, { named, session }: WantedTarget): CloneTarget | undefined {
  const branch = (ref: RefName): CloneTarget => ({ kind: 'branch', ref, from: ref, want: discovery.refs.get(ref) });
  const own = session === undefined ? undefined : requireBranchName(session);
  if (own !== undefined && discovery.refs.has(own)) return branch(own);
  const base = chooseBase(discovery, named, branch);
  if (own === undefined || base === undefined) return base;
  if (base.kind === 'branch') return { ...base, ref: own };
  throw new KbError('E_USAGE', `a session's branch can begin at a branch, and "${base.name}" is none`, {
    hint: 'name a branch with --branch, or leave it out',
  });
}

function chooseBase(
  discovery: Discovery,
  named: string | undefined,
  branch: (ref: RefName) => CloneTarget,
): CloneTarget | undefined {
  const { refs, head, empty } = discovery;
  const [main, master] = [branchRef('main'), branchRef('master')];
  if (named === undefined) return branch(head ?? (refs.has(main) || !refs.has(master) ? main : master));
  const ref = branchRef(named);
  if (refs.has(ref) || empty) return branch(ref);
  const tag = tagRef(named);
  const tagged = refs.get(tag);
  if (tagged !== undefined) return { kind: 'pinned', name: named, tag, want: tagged };
  return isOid(named) ? { kind: 'pinned', name: named, tag: undefined, want: named } : undefined;
}

function tagRef(name: string): RefName {
  return asRefName(`refs/tags/${name}`);
}

/** A tag of a tag of a tag … ends somewhere. */
const MAX_TAG_DEPTH = 10;

/** The commit that an object is or, through annotated tags, leads to. @throws KbError E_USAGE where there is none */
export function commitOf(objects: ObjectStore, oid: Oid): Oid {
  let at = oid;
  for (let depth = 0; depth < MAX_TAG_DEPTH; depth += 1) {
    const { type, data } = objects.read(at);
    if (type === 'commit') return at;
    const target = type === 'tag' ? /^object ([0-9a-f]{40})\n/.exec(data.toString('latin1'))?.[1] : undefined;
    if (target === undefined || !isOid(target)) break;
    at = target;
  }
  throw new KbError('E_USAGE', `${oid} is no commit, and leads to none`, {
    hint: 'name a branch, a tag of a commit, or the whole id of a commit',
  });
}
