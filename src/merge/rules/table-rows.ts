/**
 * Both sides added rows to a table: it gets all of them, ours first. Where the first column names the rows, two
 * rows of one name are two versions of one entry and are left to a person.
 */
import type { AdditionRule } from '../additions.js';

export const tableRows: AdditionRule = {
  name: 'table-rows',
  fits: ({ ours, theirs, chunk }) =>
    [...ours.blocks, ...theirs.blocks].every(
      ({ kind, lines }) =>
        (kind === 'row' && !/^\|[\s:|-]+\|$/.test((lines[0] ?? '').trim())) ||
        (kind === 'line' && chunk.versions.ours.kind === 'csv'),
    ),
};
