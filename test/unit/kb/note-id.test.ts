import { describe, expect, it } from 'vitest';
import { idTrailer, requireValidId } from '../../../src/kb/note-id.js';

describe('requireValidId', () => {
  it.each(['a', 'build-1234', '~!@#$%^&*()', 'x'.repeat(200)])('takes %j', (id) => {
    expect(() => requireValidId(id)).not.toThrow();
    expect(idTrailer(id)).toBe(`Kb-Id: ${id}`);
  });

  it.each(['', ' ', 'a b', 'a\n', 'a\nKb-Id: b', 'ä', '\u0000', 'tab\t', 'x'.repeat(201)])('refuses %j', (id) => {
    expect(() => requireValidId(id)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});
