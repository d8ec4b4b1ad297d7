import type { ConflictsResult } from '../kb/conflicts/list.js';
import { printable } from '../printable.js';
import { formatAge, plural } from './format.js';
import type { Paint } from './paint.js';

type Item = ConflictsResult['conflicts'][number];

const REASONS: Readonly<Record<string, string>> = {
  overlap: 'both changed the same place',
  binary: 'both changed it, and it is no text',
  encoding: 'both changed it, in encodings that cannot be merged',
  deleted_remotely: 'changed here, deleted by others',
  deleted_locally: 'deleted here, changed by others',
  deleted: 'one side deleted it',
  type: 'file, link or folder: the sides differ',
  file_and_folder: 'a file meets a folder of the same name',
  taken: 'another file has the name in another spelling',
  renamed_twice: 'both gave it another name',
  copy: 'the other version lies beside it',
};

export const renderConflicts = {
  /** `path kind reason since`, with tabs between; what is unknown is `-`. */
  inPipe({ conflicts }: ConflictsResult): string[] {
    return conflicts.map(({ path, copy, kind, reason, since }) =>
      [printable(copy ?? path, 4000), kind, reason, since ?? '-'].join('\t'),
    );
  },

  onTerminal({ conflicts }: ConflictsResult, paint: Paint, nowMs: number): string[] {
    return conflicts.flatMap((item) => renderItem(item, paint, nowMs));
  },
};

function renderItem(item: Item, paint: Paint, nowMs: number): string[] {
  const { path, copy, reason, regions, since, decided, from, remotePath } = item;
  const places = regions.length === 0 ? '' : ` (${plural(regions.length, 'place')})`;
  const age = since === null ? '' : `, ${formatAge(nowMs - Date.parse(since))}`;
  const state = decided === null ? '' : paint.green(`, decided: ${decided}; waits for the others`);
  const others = remotePath === undefined ? '' : `; others call it ${printable(remotePath)}`;
  const names = from === undefined ? '' : ` (was ${printable(from)}${others})`;
  const lines = [`${paint.bold(printable(path))}${names}  ${REASONS[reason] ?? reason}${places}${age}${state}`];
  for (const [label, version] of [
    ['ours', item.ours],
    ['theirs', item.theirs],
    ['base', item.base],
  ] as const) {
    const where =
      version === null ? (label === 'base' ? undefined : 'deleted') : `git show '${printable(version.name, 4000)}'`;
    if (where !== undefined) lines.push(paint.dim(`  ${label.padEnd(7)} ${where}`));
  }
  for (const { ours, theirs } of regions.slice(0, 5))
    lines.push(paint.dim(`  lines   ours ${linesOf(ours)}, theirs ${linesOf(theirs)}`));
  lines.push(`  next:   ${printable(item.next.replaceAll('PATH', quoted(copy ?? path)), 4000)}`);
  return lines;
}

function linesOf({ line, count }: Item['regions'][number]['ours']): string {
  if (line === null) return count === 0 ? 'none' : plural(count, 'line');
  return count === 1 ? String(line) : `${line}–${line + count - 1}`;
}

function quoted(path: string): string {
  return /^[\w./@:+,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
