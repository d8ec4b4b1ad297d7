import type { RuleName } from './rule-names.js';

/** The merged file in order: text that is settled, and places that only a person can decide. */
export type MergedPiece = SettledPiece | ConflictPiece;

export interface SettledPiece {
  readonly kind: 'settled';
  readonly text: string;
  /** What settled it; undefined: only one side changed it, or neither. */
  readonly rule?: RuleName;
}

export interface ConflictPiece {
  readonly kind: 'conflict';
  readonly base: string;
  readonly ours: string;
  readonly theirs: string;
}

export function settled(text: string, rule?: RuleName): SettledPiece {
  return rule === undefined ? { kind: 'settled', text } : { kind: 'settled', text, rule };
}

export function hasConflict(pieces: readonly MergedPiece[]): boolean {
  return pieces.some((piece) => piece.kind === 'conflict');
}

/**
 * The text of what is settled. A piece ends amid a line only where its side had no line break at the end of the
 * file; if more comes after it, the line is closed, or two lines would become one.
 */
export function textOf(pieces: readonly MergedPiece[], ending: string): string {
  const parts: string[] = [];
  for (const piece of pieces) {
    if (piece.kind !== 'settled' || piece.text === '') continue;
    if (parts.length > 0 && parts.at(-1)?.endsWith('\n') === false) parts.push(ending);
    parts.push(piece.text);
  }
  return parts.join('');
}

/** The rules that settled something, each once, in the order of the file. */
export function rulesOf(pieces: readonly MergedPiece[]): RuleName[] {
  const names = new Set<RuleName>();
  for (const piece of pieces) if (piece.kind === 'settled' && piece.rule !== undefined) names.add(piece.rule);
  return [...names];
}
