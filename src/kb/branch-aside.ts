import { asRefName, shortName, type Oid, type RefName } from '../git/ids.js';
import type { CheckedOutBranch, Kb } from './open.js';
import { upstreamOf, type Upstream } from './upstream.js';
import { requireNotElsewhere } from './other-worktree.js';

/**
 * A branch that is not checked out, as a cycle works on it.
 * @throws KbError E_UNSAFE_STATE when another work tree has it checked out: its files would not follow
 */
export function branchAside(kb: Kb, ref: RefName): CheckedOutBranch {
  requireNotElsewhere(kb, ref);
  return { name: shortName(ref), ref, commit: kb.refs.resolve(ref) };
}

/**
 * Where a new branch begins while the remote cannot be asked: at the branch as it was last seen, at the remote's default
 * branch, or at what the remote had of the branch that is checked out; without a remote at that branch.
 */
export function startAsLastSeen(kb: Kb, upstream: Upstream | undefined): Oid | undefined {
  const head = kb.refs.head();
  if (upstream === undefined) return head.oid;
  const own = head.branch === undefined ? undefined : upstreamOf(kb, shortName(head.branch));
  const names = [upstream.tracking, asRefName(`refs/remotes/${upstream.remoteName}/HEAD`), own?.tracking];
  for (const name of names) {
    const seen = name === undefined ? undefined : kb.refs.resolve(name);
    if (seen !== undefined) return seen;
  }
  return head.oid;
}
