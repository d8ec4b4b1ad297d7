/**
 * Both sides added items to a list: the list gets all of them, ours first; an item that both added comes once.
 * This is what note takers do all day, and no item contradicts another one.
 */
import type { AdditionRule } from '../additions.js';

export const listItems: AdditionRule = {
  name: 'list-items',
  fits: ({ ours, theirs }) =>
    [...ours.blocks, ...theirs.blocks].every(({ kind }) => kind === 'item' || kind === 'line'),
};
