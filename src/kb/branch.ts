import { shortName, type Oid, type RefName } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { compareWithTracking } from './ahead-behind.js';
import { describeCommit } from './commit-facts.js';
import type { Kb } from './open.js';
import { upstreamOf } from './upstream.js';

export interface BranchInfo {
  /** `main`; of a remote's branch `origin/main`. */
  readonly name: string;
  readonly kind: 'local' | 'remote';
  readonly current: boolean;
  /** It is the session's: `--session-branch`, SESSION_BRANCH. */
  readonly session: boolean;
  /** null: no commit yet. */
  readonly commit: Oid | null;
  /** First line of the last commit's message. */
  readonly subject: string | null;
  readonly author: string | null;
  /** RFC 3339, of the last commit. */
  readonly committedAt: string | null;
  /** The remote branch that it is shared with, as far as it was seen; null: none was. */
  readonly upstream: string | null;
  /** Commits that its upstream lacks; null: not known. */
  readonly ahead: number | null;
  /** Commits of its upstream that it lacks; null: not known. */
  readonly behind: number | null;
}

export interface BranchList {
  /** null: none is checked out. */
  readonly current: string | null;
  readonly branches: readonly BranchInfo[];
}

/** The branches here, and those of remotes as last seen. Takes no lock, asks no remote. */
export function listBranches(kb: Kb): BranchList {
  const head = kb.refs.head();
  const local = new Map<RefName, Oid | null>(kb.refs.list('refs/heads/'));
  if (head.branch !== undefined && !local.has(head.branch)) local.set(head.branch, null);
  const remote = [...kb.refs.list('refs/remotes/')].filter(([ref]) => !ref.endsWith('/HEAD'));
  return {
    current: head.branch === undefined ? null : shortName(head.branch),
    branches: [
      ...[...local].map(([ref, commit]) => describeLocal(kb, ref, commit, head.branch)),
      ...remote.map(([ref, commit]) => ({
        ...lastCommit(kb, commit),
        name: shortName(ref),
        kind: 'remote' as const,
        current: false,
        session: false,
        upstream: null,
        ahead: null,
        behind: null,
      })),
    ],
  };
}

function describeLocal(kb: Kb, ref: RefName, commit: Oid | null, current: RefName | undefined): BranchInfo {
  const name = shortName(ref);
  const upstream = upstreamOf(kb, name);
  const tracking = upstream === undefined ? undefined : kb.refs.resolve(upstream.tracking);
  const compared = compareWithTracking(kb, tracking, commit ?? undefined);
  return {
    ...lastCommit(kb, commit),
    name,
    kind: 'local',
    current: ref === current,
    session: name === kb.settings.sessionBranch,
    upstream: upstream === undefined || tracking === undefined ? null : shortName(upstream.tracking),
    ahead: compared?.ahead ?? null,
    behind: compared?.behind ?? null,
  };
}

function lastCommit(kb: Kb, oid: Oid | null): Pick<BranchInfo, 'commit' | 'subject' | 'author' | 'committedAt'> {
  if (oid === null) return { commit: null, subject: null, author: null, committedAt: null };
  return describeCommit(oid, readCommit(kb.objects, oid));
}
