import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Arena } from './knowledge-base.js';
import { MERGE_MS } from './limits.js';
import { interleave, median, timed } from './measure.js';
import type { Row } from './results.js';

/** Lines of about 60 bytes: a note of one megabyte. */
const LINES = 17_000;
const EDITS = 1000;

/**
 * A note of 1 MB with a thousand edits on each side, beside `node -e 0` in the same rounds: the whole of the command.
 * The sides reword the same lines, each at another place, which a merge by lines leaves to a person: each such line is
 * merged by its words.
 */
export async function measureMerge(arena: Arena, directory: string, runs: number): Promise<Row[]> {
  const room = join(directory, 'merge');
  mkdirSync(room);
  const file = (name: string, text: string): string => {
    const path = join(room, name);
    writeFileSync(path, text);
    return path;
  };
  const note = (from: string, to: string): string =>
    Array.from({ length: LINES }, (_, at) => line(at, from, to)).join('');
  const versions = [
    file('base.md', note('', '')),
    file('ours.md', note('says', 'tells')),
    file('theirs.md', note('and', 'plus')),
  ];
  const output = join(room, 'merged.md');
  const node = arena.node(['-e', '0']);
  const merge = arena.kb(['merge-file', ...versions, '--path', 'note.md', '--output', output]);
  const times = await interleave(runs, { node: () => timed(node), merge: () => timed(merge) });
  const [native, kb] = [median(times.node), median(times.merge)];
  return [
    {
      scenario: `kb merge-file, 1 MB, ${EDITS} edits on each side, beside node -e 0`,
      native,
      kb,
      unit: 'ms',
      judged: kb - native,
      limit: { most: MERGE_MS, unit: 'ms' },
      samples: { native: times.node, kb: times.merge },
    },
  ];
}

function line(at: number, from: string, to: string): string {
  const text = `The ${at}th line says what is to be said, and then some more`;
  return `${at % (LINES / EDITS) === 0 ? text.replace(from, to) : text}\n${at % 6 === 5 ? '\n' : ''}`;
}
