import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { isKbError } from '../../../../src/errors.js';
import { composeNote, type NoteInput } from '../../../../src/kb/notes/compose.js';
import { splitFrontMatter } from '../../../../src/kb/notes/front-matter.js';
import { parsePropertyValue, type PropertyValue } from '../../../../src/kb/notes/properties.js';

const NOW = { epochMs: Date.parse('2026-11-20T23:30:00Z'), offsetMinutes: 60 }; // already the 21st there
const compose = (input: Partial<NoteInput>) =>
  composeNote({
    body: 'text',
    name: '2026-11-21-text.md',
    tags: [],
    properties: [],
    frontmatter: true,
    now: NOW,
    ...input,
  });
const usage: unknown = expect.toSatisfy((error: unknown) => isKbError(error, 'E_USAGE'));
const yamlOf = (text: string): unknown => parse(splitFrontMatter(text).yaml ?? '');

describe('composeNote writes front matter', () => {
  it.each<[string, Partial<NoteInput>, string]>([
    ['date only', {}, '---\ndate: 2026-11-21\n---\n\ntext\n'],
    [
      'tags',
      { tags: ['#bread', 'rye flour', 'a,b', 'bread'] },
      '---\ndate: 2026-11-21\ntags: [bread, rye-flour, a, b]\n---\n\ntext\n',
    ],
    [
      'a title that is not the name',
      { title: 'Text: one' },
      '---\ndate: 2026-11-21\ntitle: "Text: one"\n---\n\ntext\n',
    ],
    ['no title that is the name', { title: 'Text', name: 'Text.md' }, '---\ndate: 2026-11-21\n---\n\ntext\n'],
    [
      'no title that is the name in another normal form',
      { title: 'e\u0301', name: 'é' },
      '---\ndate: 2026-11-21\n---\n\ntext\n',
    ],
    [
      'typed properties',
      {
        properties: [
          ['count', '3'],
          ['pi', '3.14'],
          ['done', 'true'],
          ['zip', '0815'],
          ['list', '[a, 2, false]'],
          ['none', '[]'],
          ['text', 'a, b'],
          ['due', '2026-12-01'],
          ['empty', ''],
        ],
      },
      '---\ndate: 2026-11-21\ncount: 3\npi: 3.14\ndone: true\nzip: "0815"\nlist: [a, 2, false]\nnone: []\ntext: "a, b"\ndue: 2026-12-01\nempty: ""\n---\n\ntext\n',
    ],
    [
      'tags given as a property',
      { tags: ['a'], properties: [['tags', '[b, c]']] },
      '---\ndate: 2026-11-21\ntags: [a, b, c]\n---\n\ntext\n',
    ],
    ['a date of its own', { properties: [['date', '2020-01-01']] }, '---\ndate: 2020-01-01\n---\n\ntext\n'],
    ['windows line ends', { body: 'one\r\ntwo' }, '---\r\ndate: 2026-11-21\r\n---\r\n\r\none\r\ntwo\r\n'],
    ['without a byte order mark', { body: '\ufefftext' }, '---\ndate: 2026-11-21\n---\n\ntext\n'],
    ['a rule as the first line', { body: '---\nno end' }, '---\ndate: 2026-11-21\n---\n\n---\nno end\n'],
  ])('%s', async (_, input, expected) => {
    expect(await compose(input)).toBe(expected);
  });

  it('leaves the text alone with frontmatter: false', async () => {
    expect(await compose({ frontmatter: false, body: '---\nbad: [\n---\nx' })).toBe('---\nbad: [\n---\nx\n');
  });

  it('whatever the title or value, YAML reads back the same text', async () => {
    const line = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 30 })
      .filter((text) => text.trim() === text && !/\p{Cs}/u.test(text));
    await fc.assert(
      fc.asyncProperty(line, async (text) => {
        const value: PropertyValue = parsePropertyValue(text);
        expect(yamlOf(await compose({ title: text, properties: [['p', text]] }))).toEqual({
          date: '2026-11-21',
          title: text,
          p: value,
        });
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    'yes',
    'No',
    'null',
    '~',
    'true',
    '1',
    '1e3',
    '0x1f',
    '- a',
    'a: b',
    '#a',
    'a #b',
    '&a',
    '*a',
    '!a',
    '%a',
    '@a',
    '`a',
    "'a",
    '"a',
    '{a',
    '[a',
    '?',
    '|',
    '>',
    '2026-11-21',
    '12:30',
    '=',
    '<<',
    'a\tb',
    ' ',
  ])('keeps %j as text in a title', async (title) => {
    expect(yamlOf(await compose({ title }))).toEqual(
      title.trim() === '' ? { date: '2026-11-21' } : { date: '2026-11-21', title: title.trim() },
    );
  });

  it.each<[string, Partial<NoteInput>]>([
    ['an empty tag', { tags: ['#'] }],
    ['a tag with # inside', { tags: ['a#b'] }],
    ['a property without a name', { properties: [['', 'x']] }],
    ['a property name over two lines', { properties: [['a\nb', 'x']] }],
    [
      'a property given twice',
      {
        properties: [
          ['a', '1'],
          ['a', '2'],
        ],
      },
    ],
    ['tags without front matter', { frontmatter: false, tags: ['a'] }],
    ['properties without front matter', { frontmatter: false, properties: [['a', '1']] }],
    ['front matter that is no YAML', { body: '---\na: [\n---\nx' }],
    ['front matter that is no list of properties', { body: '---\njust text\n---\nx' }],
    ['front matter of two documents', { body: '---\na: 1\n--- b\nc: 1\n---\nx' }],
    ['front matter with a key twice', { body: '---\na: 1\na: 2\n---\nx' }],
    ['front matter nested without end', { body: `---\na: ${'['.repeat(20_000)}\n---\nx` }],
  ])('refuses %s', async (_, input) => {
    await expect(compose(input)).rejects.toThrow(usage);
  });
});

describe('composeNote merges into front matter that is there', () => {
  const cases: [string, Partial<NoteInput>, string, string][] = [
    ['adds the date', {}, 'a: 1\n', 'a: 1\ndate: 2026-11-21\n'],
    ['keeps a date', {}, 'date: 2001-01-01 # old\n', 'date: 2001-01-01 # old\n'],
    ['into an empty block', {}, '', 'date: 2026-11-21\n'],
    ['into a block of comments', {}, '# only this\n', '# only this\ndate: 2026-11-21\n'],
    [
      'keeps comments, quotes, blanks and order',
      { properties: [['z', '1']] },
      '# c\nb:   "x"  # d\n\na:\n    deep: {k: v}\ndate: x\n',
      '# c\nb:   "x"  # d\n\na:\n    deep: {k: v}\ndate: x\nz: 1\n',
    ],
    [
      'adds tags to a list in brackets',
      { tags: ['c', 'a'] },
      'date: x\ntags: [a, "b"] # t\n',
      'date: x\ntags: [a, "b", c] # t\n',
    ],
    [
      'adds tags to a list of lines',
      { tags: ['c', 'd'] },
      'date: x\ntags:\n  - a # first\n  - b\nz: 1\n',
      'date: x\ntags:\n  - a # first\n  - b\n  - c\n  - d\nz: 1\n',
    ],
    [
      'adds tags to a list of lines without indentation',
      { tags: ['c'] },
      'date: x\ntags:\n- a\n',
      'date: x\ntags:\n- a\n- c\n',
    ],
    ['adds tags to text', { tags: ['c'] }, 'date: x\ntags: a, b\n', 'date: x\ntags: [a, b, c]\n'],
    [
      'adds tags to a list over several lines',
      { tags: ['c'] },
      'date: x\ntags: [\n  a, # one\n  b # two\n]\n',
      'date: x\ntags: [\n  a, # one\n  b, c # two\n]\n',
    ],
    ['makes tags', { tags: ['c'] }, 'date: x\n', 'date: x\ntags: [c]\n'],
    ['a title wins', { title: 'New' }, 'date: x\ntitle: Old # t\n', 'date: x\ntitle: New # t\n'],
    ['a property wins', { properties: [['n', '2']] }, 'n: "1"\ndate: x\n', 'n: 2\ndate: x\n'],
  ];
  it.each(cases)('%s', async (_, input, yaml, expected) => {
    expect(await compose({ ...input, body: `---\n${yaml}---\nbody\n` })).toBe(`---\n${expected}---\nbody\n`);
  });

  it.each(cases)('%s (windows line ends)', async (_, input, yaml, expected) => {
    const windows = (text: string) => text.replaceAll('\n', '\r\n');
    // an empty block tells no line end of its own; the `---` lines around it do
    expect(await compose({ ...input, body: windows(`---\n${yaml}---\nbody\n`) })).toBe(
      windows(`---\n${expected}---\nbody\n`),
    );
  });

  it.each<[string, Partial<NoteInput>, string, unknown]>([
    ['a map in braces', { tags: ['c'] }, '{a: 1, tags: [b]}\n', { a: 1, tags: ['b', 'c'], date: '2026-11-21' }],
    [
      'a value over several lines',
      { title: 'New' },
      'title: |\n  Old\n  one\nb: 1\n',
      { title: 'New', b: 1, date: '2026-11-21' },
    ],
    [
      'a key without a value',
      { title: 'New', tags: ['a'] },
      'title:\ntags:\nb: 1\n',
      { title: 'New', tags: ['a'], b: 1, date: '2026-11-21' },
    ],
    ['an empty list', { tags: ['a'] }, 'tags: []\n', { tags: ['a'], date: '2026-11-21' }],
    ['an alias', { tags: ['a'] }, 'x: &x [b]\ntags: *x\n', { x: ['b'], tags: ['a'], date: '2026-11-21' }],
  ])('rewrites what cannot be edited line by line: %s', async (_, input, yaml, expected) => {
    const text = await compose({ ...input, body: `---\n${yaml}---\nbody\n` });
    expect(yamlOf(text)).toEqual(expected);
    expect(text.endsWith('---\nbody\n')).toBe(true);
  });

  it('leaves every line that it does not change, whatever they are', async () => {
    const entry = fc.constantFrom(
      'a: 1',
      'b: "x" # c',
      'c:   [1,  2]',
      'd: |\n  text\n  more',
      '# comment',
      '',
      'e:\n  - 1\n  - {k: v}',
      "f: 'q'",
      'g: &anchor z',
      'h: ~',
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(entry, { maxLength: 8 }), async (entries) => {
        const yaml = entries.map((one) => `${one}\n`).join('');
        const text = await compose({ body: `---\n${yaml}---\nbody\n`, tags: ['t'] });
        expect(text).toBe(`---\n${yaml}date: 2026-11-21\ntags: [t]\n---\nbody\n`);
      }),
    );
  });
});

describe('composeNote with a template', () => {
  const T = '---\ntype: log\ntags: [t]\n---\n# {{title}}\n\n{{content}}\n\nMade {{date:D MMM YYYY}}.\n';
  it.each<[string, Partial<NoteInput>, string]>([
    [
      'fills in',
      { template: T },
      '---\ntype: log\ntags: [t]\ndate: 2026-11-21\n---\n# 2026-11-21-text\n\ntext\n\nMade 21 Nov 2026.\n',
    ],
    [
      'front matter of the input moves up',
      { template: T, title: 'Hi', body: '---\nx: 1\ntags: [u]\ntype: own\n---\n\nbody\n' },
      '---\ntype: own\ntags: [t, u]\nx: 1\ndate: 2026-11-21\ntitle: Hi\n---\n# Hi\n\nbody\n\nMade 21 Nov 2026.\n',
    ],
    [
      'input below a template without a place for it',
      { template: '# Fixed', body: 'body' },
      '---\ndate: 2026-11-21\n---\n\n# Fixed\nbody\n',
    ],
    [
      'front matter of the input where the template has none',
      { template: '# {{title}}\n{{content}}\n', body: '---\na: 1\n---\nb\n' },
      '---\na: 1\ndate: 2026-11-21\n---\n# 2026-11-21-text\nb\n',
    ],
    [
      'placeholders in the input stay',
      { template: '{{content}}\n', body: '{{date}} {{content}} {{title}}' },
      '---\ndate: 2026-11-21\n---\n\n{{date}} {{content}} {{title}}\n',
    ],
    [
      'without front matter',
      { template: T, frontmatter: false },
      '---\ntype: log\ntags: [t]\n---\n# 2026-11-21-text\n\ntext\n\nMade 21 Nov 2026.\n',
    ],
  ])('%s', async (_, input, expected) => {
    expect(await compose(input)).toBe(expected);
  });

  it('carries nested front matter of the input over', async () => {
    const text = await compose({ template: T, body: '---\nnested:\n  deep: [1, {a: b}]\ntags: u\n---\nbody\n' });
    expect(yamlOf(text)).toEqual({
      type: 'log',
      tags: ['t', 'u'],
      nested: { deep: [1, { a: 'b' }] },
      date: '2026-11-21',
    });
  });
});
