import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../src/git/ids.js';
import type { RepoPath } from '../../../src/git/paths.js';
import type { NoteAnswer } from '../../../src/kb/note-answer.js';
import { encodePushRecords, parsePushRecords, type PushRecord } from '../../../src/kb/push-record.js';
import type { PlaceName } from '../../../src/lock/lock.js';

const hex = (length: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
const oid = hex(40) as fc.Arbitrary<Oid>;
const place = fc
  .tuple(fc.nat(999_999_999), hex(32))
  .map(([number, id]) => `${String(number).padStart(9, '0')}_${id}` as PlaceName);
const answer: fc.Arbitrary<NoteAnswer> = fc.record({
  kind: fc.constant('kept' as const),
  path: fc.constantFrom('a.md', 'folder/ü.md', 'x y.md') as fc.Arbitrary<RepoPath>,
  commit: oid,
  change: fc.constantFrom('added' as const, 'modified' as const, 'none' as const),
  branch: fc.constantFrom('main', 'topic/ä'),
  landed: fc.boolean(),
  batch: fc.nat(500),
});
const record: fc.Arbitrary<PushRecord> = fc.record({
  from: fc.oneof(oid, fc.constant(undefined), fc.constant('local' as const)),
  to: oid,
  answers: fc
    .uniqueArray(fc.tuple(place, answer), { selector: ([name]) => name, maxLength: 5 })
    .map((all) => new Map(all)),
});

const OID = 'a'.repeat(40) as Oid;
const PLACE = `000000001_${'b'.repeat(32)}` as PlaceName;
const KEPT: NoteAnswer = {
  kind: 'kept',
  path: 'a.md' as RepoPath,
  commit: OID,
  change: 'added',
  branch: 'main',
  landed: false,
  batch: 1,
};

describe('push records', () => {
  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 4 }), (records) => {
        expect(parsePushRecords(Buffer.from(encodePushRecords(records)))).toEqual(records);
      }),
    );
  });

  it('that are cut anywhere are none', () => {
    const whole = encodePushRecords([{ from: OID, to: OID, answers: new Map([[PLACE, KEPT]]) }]);
    for (let length = 0; length < whole.length; length += 1)
      expect(parsePushRecords(Buffer.from(whole.slice(0, length)))).toEqual([]);
  });

  it.each([
    ['another format', { format: 2, pushes: [{ from: null, to: OID, answers: {} }] }],
    ['no pushes', { format: 1 }],
    ['a push that is nothing', { format: 1, pushes: [null] }],
    ['no commit', { format: 1, pushes: [{ from: null, answers: {} }] }],
    ['a commit that is none', { format: 1, pushes: [{ from: null, to: 'main', answers: {} }] }],
    ['a start that is none', { format: 1, pushes: [{ from: '../x', to: OID, answers: {} }] }],
  ])('with %s are none', (_what, value) => {
    expect(parsePushRecords(Buffer.from(JSON.stringify(value)))).toEqual([]);
  });

  it('leave out what is no answer, and keep the others', () => {
    const answers = { [PLACE]: KEPT, x: { kind: 'kept', path: '../out', commit: OID }, y: null };
    const [read] = parsePushRecords(
      Buffer.from(JSON.stringify({ format: 1, pushes: [{ from: null, to: OID, answers }] })),
    );
    expect(read?.answers).toEqual(new Map([[PLACE, KEPT]]));
  });
});
