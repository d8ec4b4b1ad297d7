import { mergeFile, type MergeFileRequest } from './merge-file.js';

/** A stretch of a file: one that is settled, or one where the sides contradict each other. */
export type Stretch =
  | { readonly kind: 'settled'; readonly text: string }
  | { readonly kind: 'contested'; readonly base: string; readonly ours: string; readonly theirs: string };

/** git's default, gitattributes(5), conflict-marker-size. */
const MARKER_SIZE = 7;

/**
 * The file piece by piece, as far as it could be merged. Texts are latin1: each character is one byte of the file.
 * @returns undefined where the files are no text that can be put together; one settled stretch where nothing contradicts
 *   (two versions without a base may have come from a merge that knew one)
 */
export function contestedStretches(request: MergeFileRequest): Stretch[] | undefined {
  const size = freeMarkerSize([request.base, request.ours, request.theirs]);
  const merged = mergeFile(request);
  if (merged.kind === 'merged') return [{ kind: 'settled', text: merged.data.toString('latin1') }];
  if (merged.marked === undefined) return undefined;
  return parse(merged.marked({ size, ours: '', base: '', theirs: '' }).toString('latin1'), size);
}

/**
 * Characters of a marker that no line of these texts begins with: a text about merging shows markers as its content,
 * and those must be taken neither for a conflict nor for one that somebody has left.
 */
export function freeMarkerSize(texts: readonly (Buffer | undefined)[]): number {
  let size = MARKER_SIZE;
  for (const text of texts) {
    for (const [run] of text?.toString('latin1').matchAll(/^(?:<{7,}|={7,}|>{7,}|\|{7,})/gm) ?? [])
      size = Math.max(size, run.length + 1);
  }
  return size;
}

function parse(text: string, size: number): Stretch[] {
  const marks = ['<', '|', '=', '>'].map((character) => character.repeat(size));
  const stretches: Stretch[] = [];
  let at = -1;
  let parts = ['', '', '', ''];
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const mark = marks.indexOf(line.replace(/\r?\n$/, ''));
    if (mark < 0) {
      const part = Math.max(at, 0);
      parts[part] = `${parts[part] ?? ''}${line}`;
    } else if (mark < 3) {
      if (mark === 0) {
        if (parts[0] !== '') stretches.push({ kind: 'settled', text: parts[0] ?? '' });
        parts = ['', '', '', ''];
      }
      at = mark;
    } else {
      const [ours = '', base = '', theirs = ''] = parts;
      stretches.push({ kind: 'contested', base, ours, theirs });
      parts = ['', '', '', ''];
      at = -1;
    }
  }
  if (parts[0] !== '') stretches.push({ kind: 'settled', text: parts[0] ?? '' });
  return stretches;
}

/** All that both sides wrote: where they contradict each other, ours and then theirs. */
export function unitedText(stretches: readonly Stretch[]): Buffer {
  return join(stretches, ({ ours, theirs }) => [ours, theirs]);
}

/** The text with each contradiction between markers, the base in the middle ("diff3", git-merge-file(1)). */
export function markedText(
  stretches: readonly Stretch[],
  style: { readonly size: number; readonly ours: string; readonly base: string; readonly theirs: string },
): Buffer {
  const ending = stretches.some((stretch) => /\r\n/.test(stretch.kind === 'settled' ? stretch.text : stretch.ours))
    ? '\r\n'
    : '\n';
  const mark = (character: string, label: string): string =>
    `${character.repeat(style.size)}${label === '' ? '' : ` ${Buffer.from(label).toString('latin1')}`}${ending}`;
  return join(stretches, ({ base, ours, theirs }) => [
    mark('<', style.ours),
    ours,
    mark('|', style.base),
    base,
    mark('=', ''),
    theirs,
    mark('>', style.theirs),
  ]);
}

type Contested = Extract<Stretch, { kind: 'contested' }>;

function join(stretches: readonly Stretch[], write: (contested: Contested) => readonly string[]): Buffer {
  let text = '';
  for (const stretch of stretches) {
    for (const part of stretch.kind === 'settled' ? [stretch.text] : write(stretch)) {
      if (part === '') continue;
      // The last line of one side may lack its end, and must not run into what follows.
      text += text === '' || text.endsWith('\n') ? part : `${/\r\n/.test(text) ? '\r\n' : '\n'}${part}`;
    }
  }
  return Buffer.from(text, 'latin1');
}
