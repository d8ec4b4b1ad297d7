import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendText } from '../../../../src/kb/notes/append.js';
import { logLine } from '../../../../src/kb/notes/log-line.js';
import { isKbError } from '../../../../src/errors.js';

const append = (file: string, addition: string, heading?: string) =>
  appendText(Buffer.from(file), addition, heading === undefined ? {} : { heading }).toString('utf8');

describe('appendText at the end', () => {
  it.each([
    ['', 'new', 'new\n'],
    ['old', 'new', 'old\nnew\n'],
    ['old\n', 'new', 'old\nnew\n'],
    ['old\n\n', 'new', 'old\n\nnew\n'],
    ['old\r\n', 'a\nb', 'old\r\na\r\nb\r\n'],
    ['old\r\nolder', 'new\n', 'old\r\nolder\r\nnew\r\n'],
    ['old\n', 'a\r\nb\rc', 'old\na\nb\nc\n'],
    ['a\r\nb\r\nc\n', 'new', 'a\r\nb\r\nc\nnew\r\n'],
    ['old\n', '\n\n  new  \n\n', 'old\n  new  \n'],
    ['\ufeff', 'new', '\ufeffnew\n'],
    ['old\n  ', 'new', 'old\n  \nnew\n'],
  ])('%j + %j', (file, addition, expected) => {
    expect(append(file, addition)).toBe(expected);
  });

  it.each(['', ' \n\t\r\n '])('refuses to add nothing: %j', (addition) => {
    expect(() => append('x', addition)).toThrow(/no text to append/);
  });

  it('refuses a binary file', () => {
    expect(() => appendText(Buffer.from([1, 0, 2]), 'x', {})).toThrow(/not a text file/);
  });

  it('keeps bytes that are not UTF-8', () => {
    const file = Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x0a, 0x23, 0x20, 0xe9, 0x0a]);
    expect(appendText(file, 'é', {})).toEqual(Buffer.concat([file, Buffer.from('é\n')]));
  });
});

describe('appendText under a heading', () => {
  it.each([
    [
      'at the end of the section, before the blank lines',
      '# T\n\n## Log\n- a\n\n\n## Next\n',
      '## Log',
      '# T\n\n## Log\n- a\n+\n\n\n## Next\n',
    ],
    ['into an empty section', '## Log\n\n## Next\n', '## Log', '## Log\n+\n\n## Next\n'],
    ['into the last section', '## Log\n- a\n\n', '## Log', '## Log\n- a\n+\n\n'],
    ['without a line break at the end', '## Log\n- a', '## Log', '## Log\n- a\n+\n'],
    ['without a line break after the heading', '## Log', '## Log', '## Log\n+\n'],
    ['below deeper headings', '## Log\n### Sub\nx\n# Top\n', '## Log', '## Log\n### Sub\nx\n+\n# Top\n'],
    ['any level when none is asked for', '# T\n### Log\nx\n## Other\n', 'Log', '# T\n### Log\nx\n+\n## Other\n'],
    ['only the level asked for', '# Log\nx\n## Log\ny\n', '## Log', '# Log\nx\n## Log\ny\n+\n'],
    ['the first of several', '## Log\na\n## Log\nb\n', '## Log', '## Log\na\n+\n## Log\nb\n'],
    ['closing marks', '## Log ##\nx\n', '## Log', '## Log ##\nx\n+\n'],
    ['closing marks in the question', '## Log\nx\n', '## Log ##', '## Log\nx\n+\n'],
    ['setext level 1', 'Log\n===\nx\n\nNext\n====\n', '# Log', 'Log\n===\nx\n+\n\nNext\n====\n'],
    ['setext level 2', 'Log\n---\nx\n\nNext\n---\n', '## Log', 'Log\n---\nx\n+\n\nNext\n---\n'],
    ['windows line ends', '## Log\r\n- a\r\n\r\n## Next\r\n', '## Log', '## Log\r\n- a\r\n+\r\n\r\n## Next\r\n'],
    ['letters outside ASCII, in either normal form', '## Cafe\u0301\nx\n', '## Café', '## Cafe\u0301\nx\n+\n'],
    ['emoji', '## 🥐 Bäcker\nx\n', '🥐 Bäcker', '## 🥐 Bäcker\nx\n+\n'],
    ['upper and lower case differ', '## log\nx\n', '## Log', '## log\nx\n\n## Log\n+\n'],
    ['missing, level 2 by default', 'x\n', 'Log', 'x\n\n## Log\n+\n'],
    ['missing, at the level asked for', 'x', '#### Log', 'x\n\n#### Log\n+\n'],
    ['missing in an empty file', '', '## Log', '## Log\n+\n'],
    ['missing, after a blank line', 'x\n\n', '## Log', 'x\n\n## Log\n+\n'],
    ['a fence hides it', '```\n## Log\n```\n\n## Log\nx\n', '## Log', '```\n## Log\n```\n\n## Log\nx\n+\n'],
    [
      'a tilde fence hides it',
      '~~~md\n## Log\n```\n## Log\n~~~\n## Log\nx\n',
      '## Log',
      '~~~md\n## Log\n```\n## Log\n~~~\n## Log\nx\n+\n',
    ],
    [
      'a longer fence holds a shorter one',
      '````\n```\n## Log\n```\n````\n## Log\n',
      '## Log',
      '````\n```\n## Log\n```\n````\n## Log\n+\n',
    ],
    [
      'a fence inside the section',
      '## Log\n```\n# not a heading\n```\n## Next\n',
      '## Log',
      '## Log\n```\n# not a heading\n```\n+\n## Next\n',
    ],
    ['inline code is no fence', '```x``` y\n## Log\n', '## Log', '```x``` y\n## Log\n+\n'],
    ['an HTML comment hides it', '<!--\n## Log\n-->\n## Log\n', '## Log', '<!--\n## Log\n-->\n## Log\n+\n'],
    ['a comment on one line hides nothing', '<!-- a -->\n## Log\n', '## Log', '<!-- a -->\n## Log\n+\n'],
    ['raw HTML hides it', '<pre>\n## Log\n</pre>\n## Log\n', '## Log', '<pre>\n## Log\n</pre>\n## Log\n+\n'],
    ['front matter hides it', '---\n# Log\ntitle: x\n---\n# Log\n', '# Log', '---\n# Log\ntitle: x\n---\n# Log\n+\n'],
    [
      'the line that closes front matter underlines nothing',
      '---\ntitle: x\n---\nbody\n',
      '## title: x',
      '---\ntitle: x\n---\nbody\n\n## title: x\n+\n',
    ],
    ['indented code', '    ## Log\n\n## Log\n', '## Log', '    ## Log\n\n## Log\n+\n'],
    ['a list item is no heading', '- a\n  ## Log\n\n## Log\n', '## Log', '- a\n  ## Log\n\n## Log\n+\n'],
    ['a rule below a list is no underline', '- Log\n---\n', '## Log', '- Log\n---\n\n## Log\n+\n'],
    ['a rule below a blank line is no underline', 'Log\n\n---\n', '## Log', 'Log\n\n---\n\n## Log\n+\n'],
    ['a heading right after a list', '## Log\n- a\n## Next\n', '## Log', '## Log\n- a\n+\n## Next\n'],
    ['a tag is no heading', '#Log\n', '# Log', '#Log\n\n# Log\n+\n'],
    ['seven marks are no heading', '####### Log\n', 'Log', '####### Log\n\n## Log\n+\n'],
    ['a quoted heading is none', '> ## Log\n', '## Log', '> ## Log\n\n## Log\n+\n'],
    ['a byte order mark', '\ufeff## Log\nx\n', '## Log', '\ufeff## Log\nx\n+\n'],
  ])('%s', (_, file, heading, expected) => {
    expect(append(file, '+', heading)).toBe(expected);
  });

  it.each(['', '##', '# ', '## a\nb'])('refuses %j as a heading', (heading) => {
    expect(() => append('x\n', '+', heading)).toThrow(
      expect.toSatisfy((error: unknown) => isKbError(error, 'E_USAGE')),
    );
  });
});

/** Markdown-like text: enough structure that headings, fences and line ends really meet. */
const markdown = fc
  .array(
    fc.tuple(
      fc.oneof(
        fc.constantFrom(
          '## Log',
          '# Top',
          '### Sub',
          '',
          '',
          '- item',
          '```',
          '~~~',
          'text',
          '---',
          '===',
          '<!--',
          '-->',
          '    code',
          '> q',
          '\u00e9\u00e8',
        ),
        fc.string({ maxLength: 8 }).filter((text) => !text.includes('\0')),
      ),
      fc.constantFrom('\n', '\r\n', ''),
    ),
    { maxLength: 20 },
  )
  .map((lines) => lines.map(([text, end]) => text + end).join(''));

describe('appendText, whatever the file', () => {
  it('inserts one run of bytes and leaves all others as they were', () => {
    fc.assert(
      fc.property(
        markdown,
        fc.constantFrom('new', 'one\ntwo', '- item'),
        fc.option(fc.constantFrom('## Log', 'Sub', '# Top', 'missing'), { nil: undefined }),
        (file, addition, heading) => {
          const before = Buffer.from(file);
          const after = appendText(before, addition, heading === undefined ? {} : { heading });
          const added = after.length - before.length;
          let same = 0;
          while (same < before.length && before[same] === after[same]) same++;
          // somewhere up to the first difference the old bytes continue after the inserted run
          const fits = Array.from({ length: same + 1 }, (_, n) => n).some((at) =>
            after.subarray(at + added).equals(before.subarray(at)),
          );
          expect(added).toBeGreaterThan(0);
          expect(fits).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps arbitrary bytes at the end of the file', () => {
    fc.assert(
      fc.property(fc.uint8Array({ min: 1 }), (bytes) => {
        const before = Buffer.from(bytes);
        const after = appendText(before, 'new');
        expect(after.subarray(0, before.length).equals(before)).toBe(true);
        expect(after.subarray(before.length).toString()).toMatch(/^(?:\r?\n)?new\r?\n$/);
      }),
    );
  });

  it('a second append under the same heading comes right after the first', () => {
    fc.assert(
      fc.property(
        markdown.filter((text) => !/```|~~~|<!--|<pre/.test(text)),
        (file) => {
          const once = appendText(Buffer.from(file), '- first', { heading: '## Diary' });
          const twice = appendText(once, '- second', { heading: '## Diary' }).toString();
          expect(twice).toMatch(/- first\r?\n- second\r?\n/);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('logLine', () => {
  const now = { epochMs: Date.parse('2026-11-20T09:05:00Z'), offsetMinutes: 0 };
  it.each([
    ['done', '- 09:05 done'],
    ['  done \n', '- 09:05 done'],
    ['one\ntwo', '- 09:05 one\n  two'],
    ['one\r\n\r\n  two', '- 09:05 one\n\n    two'],
    ['# not a heading\n# nor this', '- 09:05 # not a heading\n  # nor this'],
  ])('%j', (text, expected) => {
    expect(logLine(text, now)).toBe(expected);
  });
});
