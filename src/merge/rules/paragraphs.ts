/**
 * Both sides added text at one place: ours, then theirs, unless one seems to be a version of the other. Not where
 * both added the whole file: there, two texts at one place are two ways to say the same.
 */
import type { AdditionRule } from '../additions.js';

export const paragraphs: AdditionRule = {
  name: 'paragraphs',
  fits: ({ chunk, ours, theirs }) =>
    !chunk.isAddAdd || [...ours.blocks, ...theirs.blocks].every(({ kind }) => kind !== 'paragraph' && kind !== 'fence'),
};
