/**
 * Both sides added link definitions (`[label]: target`): all are kept, their order means nothing. One label with two
 * targets is a conflict.
 */
import type { AdditionRule } from '../additions.js';

export const linkReferences: AdditionRule = {
  name: 'link-references',
  fits: ({ ours, theirs }) => [...ours.blocks, ...theirs.blocks].every(({ kind }) => kind === 'reference'),
};
