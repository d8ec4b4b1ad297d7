import fc from 'fast-check';

/** One edit of a text: replace `remove` lines at `at` by `insert`. */
interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: readonly string[];
}

const line = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', '', '}') },
  { weight: 2, arbitrary: fc.constantFrom('x\r', 'é', '- list') },
  { weight: 2, arbitrary: fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('p', 'q', 'r', 's') }) },
);
const lines = (least: number, most: number): fc.Arbitrary<string[]> =>
  fc.array(line, { minLength: least, maxLength: most });
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat({ max: 1000 }),
  remove: fc.nat({ max: 3 }),
  insert: lines(0, 3),
});

function applyEdits(base: readonly string[], edits: readonly Edit[]): string[] {
  const result = [...base];
  for (const { at, remove, insert } of edits) result.splice(at % (result.length + 1), remove, ...insert);
  return result;
}

function toBytes(text: readonly string[], endsWithNewline: boolean): Buffer {
  return Buffer.from(text.join('\n') + (endsWithNewline && text.length > 0 ? '\n' : ''));
}

/** Base and two edited versions; the two share some edits, so that equal changes on both sides are common. */
export function threeVersions(
  least: number,
  most: number,
  edits: number,
): fc.Arbitrary<readonly [Buffer, Buffer, Buffer]> {
  const someEdits = fc.array(edit, { maxLength: edits });
  return fc
    .record({
      base: lines(least, most),
      shared: fc.array(edit, { maxLength: 1 }),
      ours: someEdits,
      theirs: someEdits,
      newlines: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
    })
    .map(({ base, shared, ours, theirs, newlines }) => [
      toBytes(base, newlines[0]),
      toBytes(applyEdits(base, [...shared, ...ours]), newlines[1] || newlines[0]),
      toBytes(applyEdits(base, [...shared, ...theirs]), newlines[2] || newlines[0]),
    ]);
}
