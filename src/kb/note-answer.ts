import { ERROR_CODES, isKbError, KbError, type ErrorCode } from '../errors.js';
import { asOid, type Oid } from '../git/ids.js';
import { pathProblem } from '../git/worktree/path-rules.js';
import type { RepoPath } from '../git/paths.js';

/** What became of one note: what its writer is told, by the holder itself or through an ack. */
export type NoteAnswer =
  | {
      readonly kind: 'kept';
      readonly path: RepoPath;
      readonly commit: Oid;
      readonly change: 'added' | 'modified' | 'none';
      readonly branch: string;
      /** Reachable from the remote branch; otherwise a local commit, in a KB without a remote. */
      readonly landed: boolean;
      /** How many notes went out with the same push, this one included; 0: this one was there before. */
      readonly batch: number;
    }
  | { readonly kind: 'failed'; readonly error: KbError };

export function encodeAnswer(answer: NoteAnswer): unknown {
  if (answer.kind === 'kept') return answer;
  const { code, message, hint, retryable, details } = answer.error;
  return { kind: 'failed', code, message, hint, retryable, details };
}

/** @returns undefined when the value is no answer; it comes from a file */
export function parseAnswer(value: unknown): NoteAnswer | undefined {
  const { kind, path, commit, change, branch, landed, batch, ...failure } = Object(value) as Record<string, unknown>;
  try {
    if (kind === 'failed') return { kind, error: parseError(failure) };
    if (kind !== 'kept' || typeof path !== 'string' || pathProblem(path) !== undefined) return undefined;
    return {
      kind,
      path: path as RepoPath,
      commit: asOid(String(commit)),
      change: change === 'added' || change === 'modified' ? change : 'none',
      branch: String(branch),
      landed: landed === true,
      batch: typeof batch === 'number' ? batch : 0,
    };
  } catch (error) {
    if (isKbError(error)) return undefined;
    throw error;
  }
}

function parseError({ code, message, hint, retryable, details }: Record<string, unknown>): KbError {
  const known = ERROR_CODES.includes(code as ErrorCode) ? (code as ErrorCode) : 'E_INTERNAL';
  return new KbError(known, String(message), {
    ...(typeof hint === 'string' ? { hint } : {}),
    retryable: retryable === true,
    details: Object(details) as Record<string, unknown>,
  });
}
