import type { DiffResult } from '../kb/diff.js';
import { printable } from '../printable.js';
import { plural } from './format.js';
import type { Paint } from './paint.js';

/** A longer line is cut under a terminal. */
const LONGEST_LINE = 2000;

export const renderDiff = {
  /** Fields with tabs between, a line each: lines added, deleted (`-`: no text), kind, path, former path. */
  countsInPipe({ changes }: DiffResult): string[] {
    return changes.map(({ path, from = '', kind, added, deleted }) =>
      [added ?? '-', deleted ?? '-', kind, printable(path, 4000), printable(from, 4000)].join('\t'),
    );
  },

  /** A line for each file: `+3 −1 path`. */
  counts({ changes }: DiffResult): string[] {
    return changes.map(({ path, from, kind, added, deleted }) => {
      const count = added === null || deleted === null ? 'no text' : `+${added} −${deleted}`;
      const was = from === undefined ? '' : `  (was ${printable(from)})`;
      return `${count.padEnd(12)}  ${kind.padEnd(8)}  ${printable(path, 4000)}${was}`;
    });
  },

  /** As git shows it, with what would act on the terminal made visible. */
  onTerminal({ diff, changes }: DiffResult, paint: Paint): string[] {
    if (changes.length === 0) return [paint.dim('no difference')];
    // What looks like the head of a file may be a line in one: a list of dashes.
    let isHead = true;
    const lines = diff.toString('utf8').replace(/\n$/, '').split('\n');
    const shown = lines.map((line) => {
      if (line.startsWith('diff --git ')) isHead = true;
      else if (line.startsWith('@@')) isHead = false;
      return coloured(line, isHead, paint);
    });
    return [...shown, paint.dim(plural(changes.length, 'file'))];
  },
};

function coloured(line: string, isHead: boolean, paint: Paint): string {
  const shown = printable(line, LONGEST_LINE).replaceAll('\\t', '\t').replace(/\\r$/, '');
  if (isHead) return paint.bold(shown);
  if (line.startsWith('@@')) return paint.yellow(shown);
  if (line.startsWith('+')) return paint.green(shown);
  return line.startsWith('-') ? paint.red(shown) : shown;
}
