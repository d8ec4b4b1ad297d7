import { KbError } from '../../errors.js';
import type { TreeChange } from '../objects/tree-diff.js';
import { pathProblem } from './path-rules.js';

/**
 * Invariant: a tree that brings one unsafe path brings nothing at all; this runs before the first write
 * (test: "writes nothing when one path is unsafe"). Removals are let through
 * and then passed over: what is unsafe was never written, and the change that takes it out of the tree
 * must not be refused for it (test: "lets an unsafe path go out of the tree").
 * @throws KbError E_UNSAFE_STATE naming the path and the rule
 */
export function refuseUnsafePaths(changes: readonly TreeChange[]): void {
  for (const { path, after } of changes) if (after !== undefined) refuseUnsafePath(path, after.mode);
}

/** The same for one path that comes. */
export function refuseUnsafePath(path: string, mode: number): void {
  const problem = pathProblem(path, { mode });
  if (problem === undefined) return;
  throw new KbError('E_UNSAFE_STATE', `the tree holds ${JSON.stringify(path)}, which kb never writes: ${problem}`, {
    hint: 'have it removed or renamed in the remote repository by someone you trust, then try again',
    details: { path },
  });
}
