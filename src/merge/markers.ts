import type { MergedPiece } from './pieces.js';

export interface MarkerStyle {
  /** How many characters a marker has; git's default is 7 (gitattributes(5), conflict-marker-size). */
  readonly size: number;
  readonly ours: string;
  readonly base: string;
  readonly theirs: string;
  readonly ending: string;
}

/** The text with each conflict between markers, with the base in the middle ("diff3", git-merge-file(1)). */
export function withMarkers(pieces: readonly MergedPiece[], style: MarkerStyle): string {
  const { ending } = style;
  const marker = (character: string, label: string): string =>
    character.repeat(style.size) + (label === '' ? '' : ` ${label}`) + ending;
  let text = '';
  const add = (part: string): void => {
    if (part === '') return;
    if (text !== '' && !text.endsWith('\n')) text += ending;
    text += part;
  };
  for (const piece of pieces) {
    if (piece.kind === 'settled') {
      add(piece.text);
      continue;
    }
    add(marker('<', style.ours));
    add(piece.ours);
    add(marker('|', style.base));
    add(piece.base);
    add(marker('=', ''));
    add(piece.theirs);
    add(marker('>', style.theirs));
  }
  return text;
}

/** Whether a text has a line that begins a conflict and one that ends it: somebody did not finish. */
export function hasMarkers(text: string, size: number): boolean {
  const line = (character: string): RegExp => new RegExp(`^\\${character}{${size}}( |\\r?$)`, 'm');
  return line('<').test(text) || line('>').test(text);
}
