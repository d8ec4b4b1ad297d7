/**
 * Both sides added sections: ours, then theirs, each whole. Sections of one heading are united inside, unless both
 * wrote prose there.
 */
import type { AdditionRule } from '../additions.js';

export const sections: AdditionRule = {
  name: 'sections',
  fits: ({ ours, theirs }) => [ours, theirs].every(({ blocks }) => blocks.some(({ kind }) => kind === 'section')),
};
