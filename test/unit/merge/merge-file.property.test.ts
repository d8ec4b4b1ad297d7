import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { mergeFile, type FileMerge } from '../../../src/merge/merge-file.js';
import { RULES, type RuleName } from '../../../src/merge/rule-names.js';

const runs = (count: number): { numRuns: number } => ({ numRuns: Number(process.env['KB_TEST_RUNS'] ?? count) });

const word = fc.constantFrom('cat', 'dog', 'emu', 'fox', 'gnu', 'hen', 'ibis', 'jay', 'kiwi', 'lynx', 'naïve', '日本');
const sentence = fc.array(word, { minLength: 1, maxLength: 7 }).map((words) => words.join(' '));
const line = fc.oneof(
  sentence,
  sentence.map((text) => `- ${text}`),
  sentence.map((text) => `  - ${text}`),
  fc.tuple(fc.constantFrom(' ', 'x'), sentence).map(([mark, text]) => `- [${mark}] ${text}`),
  fc.tuple(word, sentence).map(([key, text]) => `| ${key} | ${text} |`),
  fc.tuple(fc.integer({ min: 10, max: 23 }), sentence).map(([hour, text]) => `- ${hour}:00 ${text}`),
  word.map((text) => `## ${text}`),
  word.map((text) => `[${text}]: https://${text === '日本' ? 'jp' : 'x'}.example`),
  fc.constantFrom('', '', '```', '---', 'tags: [a, b]', 'updated: 2026-01-02'),
);
interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: readonly string[];
}
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat({ max: 50 }),
  remove: fc.nat({ max: 2 }),
  insert: fc.array(line, { maxLength: 3 }),
});
const apply = (base: readonly string[], edits: readonly Edit[]): string[] => {
  const result = [...base];
  for (const { at, remove, insert } of edits) result.splice(at % (result.length + 1), remove, ...insert);
  return result;
};
const versions = fc
  .record({
    base: fc.array(line, { maxLength: 12 }),
    ours: fc.array(edit, { minLength: 1, maxLength: 3 }),
    theirs: fc.array(edit, { minLength: 1, maxLength: 3 }),
    ending: fc.constantFrom('\n', '\n', '\r\n'),
    path: fc.constantFrom('a.md', 'a.md', 'a.md', 'a.txt', 'a.yml', 'a.csv', 'a.py'),
    isClosed: fc.boolean(),
  })
  .map(({ base, ours, theirs, ending, path, isClosed }) => {
    const text = (lines: readonly string[]): Buffer => Buffer.from(lines.join(ending) + (isClosed ? ending : ''));
    return { base: text(base), ours: text(apply(base, ours)), theirs: text(apply(base, theirs)), path };
  });

/** A file of a kind that has a structure, and what two people did to it; all three versions are well formed. */
interface Entry {
  readonly name: string;
  readonly text: string;
  readonly done: boolean;
}
interface Shape {
  readonly title: string;
  readonly updated: string;
  readonly version: string;
  readonly tags: readonly string[];
  readonly entries: readonly Entry[];
}
const name = fc.constantFrom('k1', 'k2', 'k3', 'k4', 'k5', 'k6');
const entry: fc.Arbitrary<Entry> = fc.record({ name, text: sentence, done: fc.boolean() });
const date = fc.integer({ min: 1, max: 9 }).map((day) => `2026-01-0${day}`);
type Step = (shape: Shape) => Shape;
const onEntry = (change: (one: Entry) => readonly Entry[]): fc.Arbitrary<Step> =>
  fc.nat({ max: 5 }).map((at) => (shape) => ({
    ...shape,
    entries: shape.entries.flatMap((one, index) => (index === at ? change(one) : [one])),
  }));
const put: fc.Arbitrary<Step> = fc.tuple(entry, fc.nat({ max: 6 })).map(
  ([one, at]) =>
    (shape) =>
      shape.entries.some((other) => other.name === one.name)
        ? shape
        : { ...shape, entries: [...shape.entries.slice(0, at), one, ...shape.entries.slice(at)] },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  put,
  put,
  sentence.chain((text) => onEntry((one) => [{ ...one, text }])),
  sentence.chain((text) => onEntry((one) => [{ ...one, text: `${one.text} ${text}` }])),
  onEntry((one) => [{ ...one, done: !one.done }]),
  onEntry(() => []),
  sentence.map((title): Step => (shape) => ({ ...shape, title })),
  date.map((updated): Step => (shape) => ({ ...shape, updated })),
  fc.nat({ max: 9 }).map((patch): Step => (shape) => ({ ...shape, version: `1.2.${patch}` })),
  word.map((tag): Step => (shape) => ({ ...shape, tags: [...new Set([...shape.tags, tag])] })),
);
const matter = ({ title, updated, version, tags }: Shape): string =>
  `title: ${title}\nupdated: ${updated}\nversion: ${version}\ntags:\n${tags.map((tag) => `  - ${tag}\n`).join('')}`;
const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const WRITTEN: Readonly<Record<string, (shape: Shape) => string>> = {
  'a.md': (shape) =>
    `---\n${matter(shape)}---\n\n${shape.entries.map((one) => `- [${one.done ? 'x' : ' '}] ${one.name} ${one.text}\n`).join('')}`,
  'table.md': ({ entries }) =>
    `| name | text | done |\n| --- | --- | --- |\n${entries.map((one) => `| ${one.name} | ${one.text} | ${String(one.done)} |\n`).join('')}`,
  'sections.md': ({ title, entries }) =>
    `# ${title}\n${entries.map((one) => `\n## ${one.name}\n\n${one.text}\n`).join('')}`,
  'a.txt': ({ entries }) => entries.map((one) => `${one.name} ${one.text}\n`).join(''),
  'a.json': ({ entries, ...shape }) => json({ ...shape, ...Object.fromEntries(entries.map((one) => [one.name, one])) }),
  'a.canvas': ({ entries }) =>
    json({ nodes: entries.map(({ name: id, text }, at) => ({ id, type: 'text', text, x: at * 10 })), edges: [] }),
  'a.yml': (shape) =>
    `${matter(shape)}entries:\n${shape.entries.map((one) => `  ${one.name}:\n    text: ${one.text}\n    done: ${String(one.done)}\n`).join('')}`,
  'a.csv': ({ entries }) =>
    `name,text,done\n${entries.map((one) => `${one.name},${one.text},${String(one.done)}\n`).join('')}`,
};
const structured = fc
  .record({
    path: fc.constantFrom(...Object.keys(WRITTEN)),
    base: fc.record({
      title: sentence,
      updated: date,
      version: fc.constant('1.2.0'),
      tags: fc.uniqueArray(word, { maxLength: 3 }),
      entries: fc.uniqueArray(entry, { selector: (one) => one.name, maxLength: 5 }),
    }),
    ours: fc.array(step, { minLength: 1, maxLength: 3 }),
    theirs: fc.array(step, { minLength: 1, maxLength: 3 }),
  })
  .map(({ path, base, ours, theirs }) => {
    const text = (steps: readonly Step[]): Buffer =>
      Buffer.from(WRITTEN[path]?.(steps.reduce((shape: Shape, change) => change(shape), base)) ?? '');
    return { path, base: text([]), ours: text(ours), theirs: text(theirs) };
  });
/** Both add to one place of a list, each lines of the kind that it is made of; or one gives it other marks. */
const LISTS: Readonly<Record<string, (text: string, at: number) => string>> = {
  log: (text, at) => `- ${String(9 + at).padStart(2, '0')}:15 ${text}`,
  references: (text, at) => `[${text.slice(0, 3)}${at}]: https://x.example/${at}`,
  sorted: (text, at) => `- ${'abcdefghijklmno'.charAt(at)}${text}`,
};
const lists = fc
  .record({
    kind: fc.constantFrom(...Object.keys(LISTS)),
    texts: fc.array(sentence, { minLength: 14, maxLength: 14 }),
    marks: fc.boolean(),
  })
  .map(({ kind, texts, marks }) => {
    const lines = texts.map((text, at) => LISTS[kind]?.(text, at) ?? '');
    const at = (...places: number[]): string[] => places.map((place) => lines[place] ?? '');
    const file = (of: readonly string[], mark = '-'): Buffer =>
      Buffer.from(`# List\n\n${of.map((text) => `${text.replace(/^-/, mark)}\n`).join('')}`);
    const base = at(0, 2, 4, 6, 12);
    if (marks)
      return {
        path: 'a.md',
        base: file(base),
        ours: file(base, '*'),
        theirs: file([...base.slice(0, 4), `${base[4] ?? ''} more`]),
      };
    const [first, second] = [at(0, 2, 4, 6, 7, 9, 12), at(0, 2, 4, 6, 8, 10, 12)];
    if (kind === 'log') return { path: 'a.md', base: file(at(0)), ours: file(at(0, 8)), theirs: file(at(0, 7)) }; // too few to be sorted
    return { path: 'a.md', base: file(base), ours: file(first), theirs: file(second) };
  });
const anyVersions = fc.oneof(
  { weight: 4, arbitrary: versions },
  { weight: 4, arbitrary: structured },
  { weight: 1, arbitrary: lists },
);
/** The rules that these examples must reach, for what is said here to be said of them. */
const REACHED: readonly RuleName[] = [
  'same-change',
  'white-space',
  'superset',
  'both-deleted',
  'list-marks',
  'front-matter',
  'newest-date',
  'newest-version',
  'json',
  'yaml',
  'adjacent-edits',
  'checkbox',
  'words',
  'cells',
  'sorted-list',
  'list-items',
  'table-rows',
  'link-references',
  'log-entries',
  'sections',
  'paragraphs',
  'moved',
  'delete-modify',
];

const wordsOf = (data: Buffer): string[] => data.toString().match(/[\p{L}\p{N}_]+/gu) ?? [];
const linesOf = (data: Buffer): string[] =>
  data
    .toString()
    .split('\n')
    .map((text) => text.trim().replace(/\s+/g, ' ').replace(/,$/, '')) // of JSON, which member is the last says nothing
    .filter((text) => text !== '')
    .sort();
const isMerged = (result: FileMerge): result is Extract<FileMerge, { kind: 'merged' }> => result.kind === 'merged';

describe('mergeFile, whatever it is given', () => {
  it('takes the other side where one left the file alone', () => {
    fc.assert(
      fc.property(anyVersions, ({ base, ours, theirs, path }) => {
        expect(mergeFile({ base, ours: base, theirs, path })).toMatchObject({ kind: 'merged', data: theirs });
        expect(mergeFile({ base, ours, theirs: base, path })).toMatchObject({ kind: 'merged', data: ours });
        expect(mergeFile({ base, ours, theirs: ours, path })).toMatchObject({ kind: 'merged', data: ours, rules: [] });
      }),
      runs(200),
    );
  });

  it('has nothing left to do once it is done', () => {
    fc.assert(
      fc.property(anyVersions, ({ base, ours, theirs, path }) => {
        const result = mergeFile({ base, ours, theirs, path });
        if (!isMerged(result)) return;
        // the merge base of the result and a side is that side
        expect(mergeFile({ base: theirs, ours: result.data, theirs, path })).toMatchObject({ data: result.data });
        expect(mergeFile({ base, ours: result.data, theirs: result.data, path })).toMatchObject({ data: result.data });
      }),
      runs(200),
    );
  });

  it('says the same whoever merges, perhaps in another order', () => {
    fc.assert(
      fc.property(anyVersions, ({ base, ours, theirs, path }) => {
        const [one, other] = [
          mergeFile({ base, ours, theirs, path }),
          mergeFile({ base, ours: theirs, theirs: ours, path }),
        ];
        if (!isMerged(one) || !isMerged(other)) return;
        expect(wordsOf(one.data).sort()).toEqual(wordsOf(other.data).sort());
        if (!one.rules.includes('words')) expect(linesOf(one.data)).toEqual(linesOf(other.data));
      }),
      runs(600),
    );
  });

  it('loses no word that a side added and none that both kept, unless a rule that chooses is named', () => {
    fc.assert(
      fc.property(anyVersions, ({ base, ours, theirs, path }) => {
        const result = mergeFile({ base, ours, theirs, path });
        if (!isMerged(result) || !result.rules.every((rule) => RULES[rule].lossless)) return;
        const [was, now] = [new Set(wordsOf(base)), new Set(wordsOf(result.data))];
        for (const text of [...wordsOf(ours), ...wordsOf(theirs)]) if (!was.has(text)) expect(now).toContain(text);
        const once = (data: Buffer, text: string): boolean =>
          wordsOf(data).filter((other) => other === text).length === 1;
        for (const text of was) {
          if ([base, ours, theirs].every((data) => once(data, text))) expect(now).toContain(text);
        }
      }),
      runs(1500),
    );
  });

  it('never puts a marker into a clean result, and brings both versions whole into the other one', () => {
    fc.assert(
      fc.property(anyVersions, ({ base, ours, theirs, path }) => {
        const result = mergeFile({ base, ours, theirs, path });
        if (isMerged(result)) expect(result.data.toString()).not.toMatch(/^(<{7}|\|{7}|={7}|>{7})/m);
        else {
          const marked = result.marked?.({ size: 7, ours: 'o', base: 'b', theirs: 't' }).toString() ?? '';
          expect(marked.match(/^<{7} o$/gm)?.length ?? marked.match(/^<{7} o\r$/gm)?.length).toBe(result.regions);
        }
      }),
      runs(400),
    );
  });

  it('makes no unreadable file out of readable ones', () => {
    fc.assert(
      fc.property(structured, ({ base, ours, theirs, path }) => {
        const result = mergeFile({ base, ours, theirs, path });
        if (!isMerged(result) || result.rules.length === 0) return; // what git merges comes out as git has it
        const text = result.data.toString();
        if (/json|canvas/.test(path)) expect(() => void JSON.parse(text)).not.toThrow();
        if (path === 'a.yml') expect(() => void parseYaml(text)).not.toThrow();
        if (path === 'a.csv') for (const row of text.trimEnd().split('\n')) expect(row.split(',')).toHaveLength(3);
        if (path === 'a.md') expect(text).toMatch(/^---\n(?:\S.*\n| {2}- .*\n)*---\n/);
      }),
      runs(400),
    );
  });

  it('has examples for the rules: what none reaches is not tested', () => {
    const used = new Set<string>();
    for (const example of fc.sample(anyVersions, { numRuns: 4000, seed: 6 })) {
      const result = mergeFile(example);
      if (isMerged(result)) for (const rule of result.rules) used.add(rule);
    }
    expect(REACHED.filter((rule) => !used.has(rule))).toEqual([]);
  });

  it('takes any bytes', () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((data) => Buffer.from(data));
    const texts = fc.array(fc.constantFrom('\n', '\r\n', 'a', 'é', '\xe9', '- b', '\0', '\ufeff'), { maxLength: 12 });
    const some = fc.oneof(
      bytes,
      texts.map((parts) => Buffer.concat(parts.map((part) => Buffer.from(part, part === '\xe9' ? 'latin1' : 'utf8')))),
    );
    fc.assert(
      fc.property(some, some, some, fc.constantFrom('a.md', 'a.json', 'a.yml', 'a'), (base, ours, theirs, path) => {
        expect(mergeFile({ base, ours: base, theirs, path })).toMatchObject({ kind: 'merged', data: theirs });
        const result = mergeFile({ base, ours, theirs, path });
        if (!isMerged(result)) return;
        // No byte that was not there before: a text that went through the wrong encoding has others.
        const known = new Set([...base, ...ours, ...theirs, 0x0a, 0x0d]);
        for (const byte of result.data) expect(known).toContain(byte);
      }),
      runs(2000),
    );
  });
});

describe('mergeFile on input that is made to be slow', () => {
  const lines = (count: number, text: (at: number) => string): string =>
    Array.from({ length: count }, (_, at) => text(at)).join('');
  const merge = (path: string, base: string, ours: string, theirs: string): FileMerge =>
    mergeFile({ base: Buffer.from(base), ours: Buffer.from(ours), theirs: Buffer.from(theirs), path });

  it('10 MB of one line over and over', () => {
    const same = 'same\n'.repeat(2_000_000);
    expect(merge('a.md', same, `${same}- mine\n`, `${same}- yours\n`).kind).toBe('merged');
    expect(merge('a.md', same, same.slice(0, 100_000), `x\n${same.slice(0, 400_000)}`).kind).toMatch(/merged|conflict/);
  });

  it('lists of 100,000 items on both sides', () => {
    const result = merge(
      'a.md',
      '- a\n',
      `- a\n${lines(100_000, (at) => `- mine ${at}\n`)}`,
      `- a\n${lines(100_000, (at) => `- yours ${at}\n`)}`,
    );
    expect(result.kind === 'merged' ? result.data.toString().split('\n').length : 0).toBe(200_002);
  });

  it('100,000 lines that both sides rewrote', () => {
    const text = (tag: string): string => lines(100_000, (at) => `${tag} ${at} and some more words of line ${at}\n`);
    expect(merge('a.md', text('one'), text('two'), text('three')).kind).toBe('conflict');
  });

  it('table rows that all have one name', () => {
    const rows = (tag: string): string => lines(20_000, (at) => `| same | ${tag} ${at} |\n`);
    expect(
      merge(
        'a.md',
        '| a | b |\n|---|---|\n',
        `| a | b |\n|---|---|\n${rows('m')}`,
        `| a | b |\n|---|---|\n${rows('y')}`,
      ).kind,
    ).toMatch(/merged|conflict/);
  });

  it('JSON nested 100,000 deep', () => {
    const deep = (value: string): string => `${'['.repeat(100_000)}${value}${']'.repeat(100_000)}`;
    expect(merge('a.json', deep('1'), deep('2'), deep('3')).kind).toBe('conflict');
  });

  it('objects of 50,000 members', () => {
    const members = (tag: string): string =>
      `{${Array.from({ length: 50_000 }, (_, at) => `"${tag}${at}": ${at}`).join(',\n')}}`;
    expect(merge('a.json', '{}', members('m'), members('y')).kind).toBe('merged');
    const keys = (tag: string): string => lines(50_000, (at) => `${tag}${at}: ${at}\n`);
    expect(merge('a.yml', 'a: 1\n', `a: 1\n${keys('m')}`, `a: 1\n${keys('y')}`).kind).toBe('merged');
  });

  it('single lines of megabytes that regular expressions could trip over', () => {
    const hostile = [
      '1.'.repeat(100_000),
      '-'.repeat(200_000),
      `|${' '.repeat(200_000)}`,
      `a${' '.repeat(200_000)}`,
      '`'.repeat(200_000),
      '['.repeat(200_000),
      '> '.repeat(100_000),
      '- '.repeat(100_000),
      '"'.repeat(200_000),
    ];
    for (const long of hostile) {
      for (const path of ['a.md', 'a.yml', 'a.csv', 'a.json', 'a.txt']) {
        expect(merge(path, `${long}x\n`, `${long}y\n`, `${long}z\n`).kind).toBe('conflict');
        expect(merge(path, 'a\n', `a\n${long}y\n`, `a\n${long}z\n`).kind).toMatch(/merged|conflict/);
      }
    }
  });
});
