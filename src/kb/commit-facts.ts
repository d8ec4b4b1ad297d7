import type { Oid } from '../git/ids.js';
import type { Commit, Signature } from '../git/objects/commit.js';

/** A commit as commands report it. */
export interface CommitFacts {
  readonly commit: Oid;
  /** First line of its message. */
  readonly subject: string;
  /** The author's name. */
  readonly author: string;
  /** RFC 3339; null: the commit's time is none that a calendar has. */
  readonly committedAt: string | null;
}

export function describeCommit(oid: Oid, { author, committer, message }: Commit): CommitFacts {
  const subject = message.split('\n', 1)[0] ?? '';
  return { commit: oid, subject, author: author.name, committedAt: timeOf(committer) };
}

/** The last second of the year 9999, the last one that RFC 3339 can name. */
const LATEST_SECONDS = 253_402_300_799;

/** Commits are written by anybody: one from the year 30,000,000 must not stop a command. */
export function timeOf({ timestamp }: Pick<Signature, 'timestamp'>): string | null {
  return timestamp > LATEST_SECONDS ? null : new Date(timestamp * 1000).toISOString();
}
