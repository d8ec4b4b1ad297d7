import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES, KbError, registerSecret } from '../../../src/errors.js';
import type { Oid } from '../../../src/git/ids.js';
import type { RepoPath } from '../../../src/git/paths.js';
import { encodeAnswer, parseAnswer, type NoteAnswer } from '../../../src/kb/note-answer.js';

const OID = 'a'.repeat(40) as Oid;
const KEPT: Extract<NoteAnswer, { kind: 'kept' }> = {
  kind: 'kept',
  path: 'folder/a.md' as RepoPath,
  commit: OID,
  change: 'added',
  branch: 'main',
  landed: true,
  batch: 3,
};

function throughFile(answer: NoteAnswer): NoteAnswer | undefined {
  return parseAnswer(JSON.parse(JSON.stringify(encodeAnswer(answer))));
}

describe('an answer', () => {
  it.each(['added', 'modified', 'none'] as const)('that says what was kept (%s) comes back as it was', (change) => {
    for (const landed of [true, false])
      expect(throughFile({ ...KEPT, change, landed })).toEqual({ ...KEPT, change, landed });
  });

  it('that says what failed comes back with its code, exit code, words, and details', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ERROR_CODES),
        fc.string(),
        fc.string(),
        fc.boolean(),
        fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean())),
        (code, message, hint, retryable, details) => {
          const error = new KbError(code, message, { hint, retryable, details });
          const answer = throughFile({ kind: 'failed', error });
          expect(answer?.kind === 'failed' && answer.error).toMatchObject({
            code,
            exitCode: error.exitCode,
            message: error.message,
            hint: error.hint,
            retryable,
            details: JSON.parse(JSON.stringify(error.details)) as object,
          });
          expect(answer?.kind === 'failed' && answer.error).toBeInstanceOf(KbError);
        },
      ),
    );
  });

  it('holds no secret and no cause', () => {
    registerSecret('s3cret-token');
    const cause = new Error('Authorization: Basic s3cret-token');
    const error = new KbError('E_AUTH', 'refused for s3cret-token', { cause, details: { sent: 's3cret-token' } });
    expect(JSON.stringify(encodeAnswer({ kind: 'failed', error }))).not.toContain('s3cret-token');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'kept'],
    ['a list', []],
    ['no kind', { ...KEPT, kind: undefined }],
    ['another kind', { ...KEPT, kind: 'lost' }],
    ['no path', { ...KEPT, path: undefined }],
    ['a path that leads out', { ...KEPT, path: '../../etc/passwd' }],
    ['a path into .git', { ...KEPT, path: '.git/config' }],
    ['an absolute path', { ...KEPT, path: '/etc/passwd' }],
    ['no commit', { ...KEPT, commit: undefined }],
    ['a commit that is none', { ...KEPT, commit: 'HEAD' }],
  ])('of %s is none', (_what, value) => {
    expect(parseAnswer(value)).toBeUndefined();
  });

  it('of an unknown change, or landed in another way than true, claims no more than it says', () => {
    expect(parseAnswer({ ...KEPT, change: 'x', landed: 'yes', batch: '9' })).toEqual({
      ...KEPT,
      change: 'none',
      landed: false,
      batch: 0,
    });
  });

  it('with a code that this version does not know is still a failure', () => {
    const answer = parseAnswer({ kind: 'failed', code: 'E_NEW', message: 'something new' });
    expect(answer?.kind === 'failed' && [answer.error.code, answer.error.message]).toEqual([
      'E_INTERNAL',
      'something new',
    ]);
  });
});
