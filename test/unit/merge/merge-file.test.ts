import { describe, expect, it } from 'vitest';
import { mergeFile } from '../../../src/merge/merge-file.js';
import type { RuleName } from '../../../src/merge/rule-names.js';

interface Case {
  readonly name: string;
  readonly path?: string;
  /** undefined: both sides added the file. */
  readonly base: string | undefined;
  readonly ours: string;
  readonly theirs: string;
  /** The merged text, or undefined: it is left to a person. */
  readonly expected: string | undefined;
  readonly rules?: readonly RuleName[];
}

/** A paragraph of 60 words in lines of ten. */
const chapter = Array.from({ length: 60 }, (_, at) => `word${at}${at % 10 === 9 ? '\n' : ' '}`)
  .join('')
  .trim();

const groups: Record<string, readonly Case[]> = {
  'both added to one place': [
    {
      name: 'list items: ours first',
      base: '- a\n',
      ours: '- a\n- mine\n',
      theirs: '- a\n- yours\n',
      expected: '- a\n- mine\n- yours\n',
      rules: ['list-items'],
    },
    {
      name: 'an item that both added comes once, in its place',
      base: '- a\n',
      ours: '- a\n- both\n- mine\n',
      theirs: '- a\n- yours\n- both\n',
      expected: '- a\n- yours\n- both\n- mine\n',
      rules: ['list-items'],
    },
    {
      name: 'items with lines below them stay whole',
      base: '- a\n',
      ours: '- a\n- mine\n  more of it\n',
      theirs: '- a\n- yours\n  - nested\n',
      expected: '- a\n- mine\n  more of it\n- yours\n  - nested\n',
    },
    {
      name: 'two links to one address are one entry: the longer one',
      base: '- a\n',
      ours: '- a\n- [Tool](https://tool.example)\n',
      theirs: '- a\n- [Tool](https://tool.example) - does it\n',
      expected: '- a\n- [Tool](https://tool.example) - does it\n',
    },
    {
      name: 'two links to one address in other words are a conflict',
      base: '- a\n',
      ours: '- a\n- [Tool](https://tool.example) - does that\n',
      theirs: '- a\n- [The tool](https://tool.example) - does this\n',
      expected: undefined,
    },
    {
      name: 'entries of one template are two entries',
      base: '- a\n',
      ours: '- a\n- [One](https://one.example) - a small tool for writing notes\n',
      theirs: '- a\n- [Two](https://two.example) - a small tool for writing notes\n',
      expected:
        '- a\n- [One](https://one.example) - a small tool for writing notes\n' +
        '- [Two](https://two.example) - a small tool for writing notes\n',
    },
    {
      name: 'a sorted list: each in its place',
      base: '- ant\n- bee\n- cow\n- dog\n- yak\n',
      ours: '- ant\n- bee\n- cow\n- dog\n- hen\n- yak\n',
      theirs: '- ant\n- bee\n- cow\n- dog\n- emu\n- yak\n',
      expected: '- ant\n- bee\n- cow\n- dog\n- emu\n- hen\n- yak\n',
      rules: ['sorted-list'],
    },
    {
      name: 'log entries: in the order of their times',
      base: '# Log\n\n- 09:00 start\n',
      ours: '# Log\n\n- 09:00 start\n- 10:30 mine\n',
      theirs: '# Log\n\n- 09:00 start\n- 09:45 yours\n',
      expected: '# Log\n\n- 09:00 start\n- 09:45 yours\n- 10:30 mine\n',
    },
    {
      name: 'table rows',
      base: '| k | v |\n|---|---|\n| z | 1 |\n',
      ours: '| k | v |\n|---|---|\n| z | 1 |\n| m | 2 |\n',
      theirs: '| k | v |\n|---|---|\n| z | 1 |\n| y | 3 |\n',
      expected: '| k | v |\n|---|---|\n| z | 1 |\n| m | 2 |\n| y | 3 |\n',
      rules: ['table-rows'],
    },
    {
      name: 'two rows with one name are a conflict',
      base: '| k | v |\n|---|---|\n| z | 1 |\n',
      ours: '| k | v |\n|---|---|\n| z | 1 |\n| m | 2 |\n',
      theirs: '| k | v |\n|---|---|\n| z | 1 |\n| m | 3 |\n',
      expected: undefined,
    },
    {
      name: 'link definitions',
      base: 'text\n\n[b]: https://b.example\n',
      ours: 'text\n\n[b]: https://b.example\n[z]: https://z.example\n',
      theirs: 'text\n\n[b]: https://b.example\n[c]: https://c.example\n',
      expected: 'text\n\n[b]: https://b.example\n[z]: https://z.example\n[c]: https://c.example\n',
      rules: ['link-references'],
    },
    {
      name: 'one label with two targets is a conflict',
      base: 'text\n',
      ours: 'text\n\n[a]: https://one.example\n',
      theirs: 'text\n\n[a]: https://two.example\n',
      expected: undefined,
    },
    {
      name: 'sections stay whole, with a blank line between',
      base: '# Title\n\ntext\n',
      ours: '# Title\n\ntext\n\n## Mine\n\nabout cats\n',
      theirs: '# Title\n\ntext\n\n## Yours\n\nabout dogs\n',
      expected: '# Title\n\ntext\n\n## Mine\n\nabout cats\n\n## Yours\n\nabout dogs\n',
      rules: ['sections'],
    },
    {
      name: 'sections of one name: their lists are united',
      base: '# Title\n\ntext\n',
      ours: '# Title\n\ntext\n\n## 2026-11-26\n\n- cats\n',
      theirs: '# Title\n\ntext\n\n## 2026-11-26\n\n- dogs\n',
      expected: '# Title\n\ntext\n\n## 2026-11-26\n\n- cats\n- dogs\n',
    },
    {
      name: 'paragraphs: ours, then theirs',
      base: '# Title\n',
      ours: '# Title\n\nCats sleep all day long.\n',
      theirs: '# Title\n\nDogs would rather walk.\n',
      expected: '# Title\n\nCats sleep all day long.\n\nDogs would rather walk.\n',
      rules: ['paragraphs'],
    },
    {
      name: 'a paragraph of theirs does not come below a heading that ours added',
      base: '# Title\n\ntext\n',
      ours: '# Title\n\ntext\n\n## Mine\n\nabout cats\n',
      theirs: '# Title\n\ntext\n\nDogs would rather walk.\n',
      expected: '# Title\n\ntext\n\nDogs would rather walk.\n\n## Mine\n\nabout cats\n',
    },
    {
      name: 'two versions of one paragraph are a conflict',
      base: '# Title\n',
      ours: '# Title\n\nThe meeting is on Monday at ten in the big room.\n',
      theirs: '# Title\n\nThe meeting is on Tuesday at ten in the big room.\n',
      expected: undefined,
    },
    {
      name: 'in a block of code nothing is put together',
      base: '```\na\n```\n',
      ours: '```\na\nb\n```\n',
      theirs: '```\na\nc\n```\n',
      expected: undefined,
    },
    {
      name: 'lists in a file of another kind are left alone',
      path: 'x.py',
      base: 'a = [\n',
      ours: 'a = [\n- b\n',
      theirs: 'a = [\n- c\n',
      expected: undefined,
    },
    {
      name: 'no line break at the end of the file: no two lines become one',
      base: '- a',
      ours: '- a\n- mine',
      theirs: '- a\n- yours',
      expected: '- a\n- mine\n- yours',
    },
    {
      name: 'lines of a word list',
      path: 'words.txt',
      base: 'a\n',
      ours: 'a\nmine\n',
      theirs: 'a\nyours\n',
      expected: 'a\nmine\nyours\n',
    },
    {
      name: 'rows of a CSV file',
      path: 'x.csv',
      base: 'k,v\nz,1\n',
      ours: 'k,v\nz,1\nm,2\n',
      theirs: 'k,v\nz,1\ny,3\n',
      expected: 'k,v\nz,1\nm,2\ny,3\n',
      rules: ['table-rows'],
    },
  ],
  'edits that do not meet': [
    {
      name: 'neighbouring lines',
      base: '- buy milk today\n- call the bank\n',
      ours: '- buy oat milk today\n- call the bank\n',
      theirs: '- buy milk today\n- call the bank at nine\n',
      expected: '- buy oat milk today\n- call the bank at nine\n',
      rules: ['adjacent-edits'],
    },
    {
      name: 'an edit and an addition below it',
      base: '- buy milk today\n',
      ours: '- buy oat milk today\n',
      theirs: '- buy milk today\n- call the bank\n',
      expected: '- buy oat milk today\n- call the bank\n',
    },
    {
      name: 'different words of one line',
      base: 'The quick fox jumps over the dog.\n',
      ours: 'The swift fox jumps over the dog.\n',
      theirs: 'The quick fox jumps over the cat.\n',
      expected: 'The swift fox jumps over the cat.\n',
      rules: ['words'],
    },
    {
      name: 'the same word is a conflict',
      base: 'a red fox runs\n',
      ours: 'a grey fox runs\n',
      theirs: 'a brown fox runs\n',
      expected: undefined,
    },
    {
      name: 'a date or version is one word',
      base: 'Released 1.2.3 on 2026-01-02 to all.\n',
      ours: 'Released 1.3.3 on 2026-01-02 to all.\n',
      theirs: 'Released 1.2.4 on 2026-01-02 to all.\n',
      expected: undefined,
    },
    {
      name: 'two sentences at the end of one paragraph',
      base: 'It works.\n',
      ours: 'It works. Cats like it.\n',
      theirs: 'It works. Every dog hates this.\n',
      expected: 'It works. Cats like it. Every dog hates this.\n',
    },
    {
      name: 'a task ticked and reworded',
      base: '- [ ] write the report\n',
      ours: '- [x] write the report\n',
      theirs: '- [ ] write the long report\n',
      expected: '- [x] write the long report\n',
      rules: ['checkbox'],
    },
    {
      name: 'a task marked in two ways',
      base: '- [ ] task one\n',
      ours: '- [x] task one\n',
      theirs: '- [-] task one\n',
      expected: undefined,
    },
    {
      name: 'different cells of one row',
      base: '| name | 1 | 2 |\n',
      ours: '| name | 9 | 2 |\n',
      theirs: '| name | 1   | 8 |\n',
      expected: '| name | 9 | 8 |\n',
      rules: ['cells'],
    },
    {
      name: 'different fields of one CSV row',
      path: 'x.csv',
      base: 'name,"a, b",2\n',
      ours: 'name,"a, c",2\n',
      theirs: 'name,"a, b",3\n',
      expected: 'name,"a, c",3\n',
      rules: ['cells'],
    },
    {
      name: 'a block that was moved takes the edit along',
      base: '# A\n\nThe first paragraph is long enough to know.\n\n# B\n\nb1\n\n# C\n\nc\n',
      ours: '# A\n\n# B\n\nb1\n\n# C\n\nc\n\nThe first paragraph is long enough to know.\n',
      theirs: '# A\n\nThe first paragraph is long enough to know it.\n\n# B\n\nb1\n\n# C\n\nc\n',
      expected: '# A\n\n# B\n\nb1\n\n# C\n\nc\n\nThe first paragraph is long enough to know it.\n',
      rules: ['moved'],
    },
    {
      name: 'an edit is kept against a deletion',
      base: 'one\n\nThe cat sleeps.\n\ntwo\n',
      ours: 'one\n\ntwo\n',
      theirs: 'one\n\nThe cat sleeps deeply.\n\ntwo\n',
      expected: 'one\n\nThe cat sleeps deeply.\n\ntwo\n',
      rules: ['delete-modify'],
    },
    {
      name: 'a deletion that includes what the other side took away stands',
      base: 'Staff\n\nAsk [Ann](mailto:ann@x.example) for help.\n\nend\n',
      ours: 'Staff\n\nend\n',
      theirs: 'Staff\n\nAsk Ann for help.\n\nend\n',
      expected: 'Staff\n\nend\n',
      rules: ['both-deleted'],
    },
    {
      name: 'of two deletions in one line the larger one, if it includes the other',
      base: 'use the [old web standards](https://x.example) in every case\n',
      ours: 'use the [web standards](https://x.example) in every case\n',
      theirs: 'use the web in every case\n',
      expected: 'use the web in every case\n',
      rules: ['both-deleted'],
    },
    {
      name: 'the marks of a list changed by one side, an item by the other',
      base: '* buy milk\n* call the bank\n',
      ours: '- buy milk\n- call the bank\n',
      theirs: '* buy milk\n* call the bank at nine\n',
      expected: '- buy milk\n- call the bank at nine\n',
      rules: ['adjacent-edits', 'list-marks'],
    },
    {
      name: 'the marks of a list changed by one side, its items deleted by the other',
      base: 'one\n\n* buy milk\n* call the bank\n\ntwo\n',
      ours: 'one\n\n- buy milk\n- call the bank\n\ntwo\n',
      theirs: 'one\n\ntwo\n',
      expected: 'one\n\ntwo\n',
      rules: ['list-marks'],
    },
    {
      name: 'items that got new numbers by one side, an item reworded by the other',
      base: '1. first thing\n2. second thing\n',
      ours: '1. new start\n2. first thing\n3. second thing\n',
      theirs: '1. first thing\n2. second thing, quickly\n',
      expected: '1. new start\n2. first thing\n3. second thing, quickly\n',
    },
    {
      name: 'an edit within a long text that was replaced by a short note: the note and the edited text',
      base: `top\n\n${chapter}\n\nend\n`,
      ours: 'top\n\nThis page is now elsewhere.\n\nend\n',
      theirs: `top\n\n${chapter.replace('word30', 'another')}\n\nend\n`,
      expected: `top\n\nThis page is now elsewhere.\n\n${chapter.replace('word30', 'another')}\n\nend\n`,
      rules: ['delete-modify'],
    },
    {
      name: 'an edit within a long text that was replaced by another long text is a conflict',
      base: `top\n\n${chapter}\n\nend\n`,
      ours: `top\n\n${chapter.replace(/word(?!\d7)/g, 'mot')}\n\nend\n`,
      theirs: `top\n\n${chapter.replace('word30', 'another')}\n\nend\n`,
      expected: undefined,
    },
    {
      name: 'what was replaced by a version of itself is a conflict',
      base: 'one\n\nThe cat sleeps on the mat.\n\ntwo\n',
      ours: 'one\n\nThe cat naps on a mat.\n\ntwo\n',
      theirs: 'one\n\nThe cat rests on the rug.\n\ntwo\n',
      expected: undefined,
    },
  ],
  'white space and line ends': [
    {
      name: 'stripped blanks against an edit',
      base: 'one  \ntwo  \n',
      ours: 'one\ntwo\n',
      theirs: 'one  \ntwo and more  \n',
      expected: 'one\ntwo and more  \n',
    },
    {
      name: 'line ends of the whole file against an edit',
      base: 'a\nb\nc\n',
      ours: 'a\r\nb\r\nc\r\n',
      theirs: 'a\nB\nc\n',
      expected: 'a\r\nB\r\nc\r\n',
      rules: ['white-space'],
    },
    {
      name: 'line ends of the whole file against additions on both sides',
      base: '- a\n',
      ours: '- a\r\n- mine\r\n',
      theirs: '- a\n- yours\n',
      expected: '- a\r\n- mine\r\n- yours\r\n',
    },
    {
      name: 'CRLF is kept in additions',
      base: '- a\r\n',
      ours: '- a\r\n- mine\r\n',
      theirs: '- a\r\n- yours\r\n',
      expected: '- a\r\n- mine\r\n- yours\r\n',
    },
    {
      name: 'mixed line ends stay where they are',
      base: 'x\r\ny\n- a\n',
      ours: 'x\r\ny\n- a\n- mine\r\n',
      theirs: 'x\r\ny\n- a\n- yours\n',
      expected: 'x\r\ny\n- a\n- mine\r\n- yours\n',
    },
    {
      name: 'a byte order mark that one side added',
      base: 'a b c d\n',
      ours: '\uFEFFa b c d\n',
      theirs: 'a b c e\n',
      expected: '\uFEFFa b c e\n',
    },
    {
      name: 'a list that was indented anew',
      base: '- one\n  - two\n',
      ours: '- one\n    - two\n',
      theirs: '- one\n  - two and a half\n',
      expected: '- one\n    - two and a half\n',
    },
    {
      name: 'in unknown text indentation is no white space',
      path: 'x.py',
      base: 'if a:\n  b\n',
      ours: 'if a:\n    b\n',
      theirs: 'if a:\n  c\n',
      expected: undefined,
    },
  ],
  'front matter': [
    {
      name: 'different keys side by side',
      base: '---\ntitle: a\nstatus: b\n---\ntext\n',
      ours: '---\ntitle: A\nstatus: b\n---\ntext\n',
      theirs: '---\ntitle: a\nstatus: B\n---\ntext\n',
      expected: '---\ntitle: A\nstatus: B\n---\ntext\n',
      rules: ['front-matter'],
    },
    {
      name: 'one key, two values',
      base: '---\ntitle: a\n---\ntext\n',
      ours: '---\ntitle: my b\n---\ntext\n',
      theirs: '---\ntitle: your c\n---\ntext\n',
      expected: undefined,
    },
    {
      name: 'never word by word',
      base: '---\ntitle: the quick fox jumps\n---\n',
      ours: '---\ntitle: the swift fox jumps\n---\n',
      theirs: '---\ntitle: the quick fox leaps\n---\n',
      expected: undefined,
    },
    {
      name: 'the newer date (ISO)',
      base: '---\nupdated: 2026-01-01\n---\n',
      ours: '---\nupdated: 2026-03-01\n---\n',
      theirs: '---\nupdated: 2026-02-01\n---\n',
      expected: '---\nupdated: 2026-03-01\n---\n',
      rules: ['newest-date'],
    },
    {
      name: 'the newer date, with zones',
      base: '---\nmodified: 2026-01-01T10:00:00Z\n---\n',
      ours: '---\nmodified: 2026-01-01T12:30:00+02:00\n---\n',
      theirs: '---\nmodified: 2026-01-01T11:00:00Z\n---\n',
      expected: '---\nmodified: 2026-01-01T11:00:00Z\n---\n',
    },
    {
      name: 'the newer date (milliseconds)',
      base: '---\nupdated: 1600000000000\n---\n',
      ours: '---\nupdated: 1600000000001\n---\n',
      theirs: '---\nupdated: 1600000000002\n---\n',
      expected: '---\nupdated: 1600000000002\n---\n',
    },
    {
      name: 'the newer date (YYYYMMDDHHMMSS)',
      base: '---\nmodified: 20260101000000\n---\n',
      ours: '---\nmodified: 20260102000000\n---\n',
      theirs: '---\nmodified: 20260103000000\n---\n',
      expected: '---\nmodified: 20260103000000\n---\n',
    },
    {
      name: 'dates of two forms are not compared',
      base: '---\nupdated: 2026-01-01\n---\n',
      ours: '---\nupdated: 2026-03-01\n---\n',
      theirs: '---\nupdated: 1600000000002\n---\n',
      expected: undefined,
    },
    {
      name: 'a list that was indented anew, and edited by the other side',
      base: '---\nreleases:\n  - name: a\n    eol: 1\n  - name: b\n    eol: 2\n---\n',
      ours: '---\nreleases:\n-   name: a\n    eol: 1\n\n-   name: b\n    eol: 2\n---\n',
      theirs: '---\nreleases:\n  - name: c\n    eol: 0\n  - name: a\n    eol: 1\n  - name: b\n    eol: 3\n---\n',
      expected: '---\nreleases:\n-   name: c\n    eol: 0\n-   name: a\n    eol: 1\n\n-   name: b\n    eol: 3\n---\n',
      rules: ['front-matter'],
    },
    {
      name: 'a list that became a map is no list in another layout',
      base: '---\nreleases:\n  - a: 1\n---\n',
      ours: '---\nreleases:\n  a: 1\n---\n',
      theirs: '---\nreleases:\n  - a: 1\n  - b: 2\n---\n',
      expected: undefined,
    },
    {
      name: 'tags in brackets are a set',
      base: '---\ntags: [a, b]\n---\n',
      ours: '---\ntags: [a, b, mine]\n---\n',
      theirs: '---\ntags: [b, yours]\n---\n',
      expected: '---\ntags: [b, mine, yours]\n---\n',
    },
    {
      name: 'tags below each other are a set',
      base: '---\ntags:\n  - a\n---\n',
      ours: '---\ntags:\n  - a\n  - mine\n---\n',
      theirs: '---\ntags:\n  - a\n  - yours\n---\n',
      expected: '---\ntags:\n  - a\n  - mine\n  - yours\n---\n',
    },
    {
      name: 'tags in two forms take the form of ours',
      base: '---\ntags: [a]\n---\n',
      ours: '---\ntags:\n- a\n- mine\n---\n',
      theirs: '---\ntags: [a, yours]\n---\n',
      expected: '---\ntags:\n- a\n- mine\n- yours\n---\n',
    },
    {
      name: 'quotes alone are no change',
      base: '---\ntitle: One\nx: 1\n---\n',
      ours: '---\ntitle: "One"\nx: 1\n---\n',
      theirs: '---\ntitle: Two\nx: 1\n---\n',
      expected: '---\ntitle: Two\nx: 1\n---\n',
    },
    {
      name: 'a comment that both rewrote is a conflict',
      base: '---\n# a\ntitle: One\n---\n',
      ours: '---\n# b\ntitle: One\n---\n',
      theirs: '---\n# c\ntitle: One\n---\n',
      expected: undefined,
    },
  ],
  YAML: [
    {
      name: 'different keys of one map',
      path: 'x.yaml',
      base: 'a:\n  b: 1\n  c: 2\n',
      ours: 'a:\n  b: 9\n  c: 2\n',
      theirs: 'a:\n  b: 1\n  c: 8\n',
      expected: 'a:\n  b: 9\n  c: 8\n',
      rules: ['yaml'],
    },
    {
      name: 'keys added at one place, one deeper than the other',
      path: 'x.yml',
      base: 'a:\n  b: 1\n',
      ours: 'a:\n  b: 1\nz: 2\n',
      theirs: 'a:\n  b: 1\n  c: 3\n',
      expected: 'a:\n  b: 1\n  c: 3\nz: 2\n',
    },
    {
      name: 'items of lists of maps',
      path: 'x.yml',
      base: '- name: a\n  v: 1\n- name: b\n  v: 2\n',
      ours: '- name: a\n  v: 9\n- name: b\n  v: 2\n- name: m\n',
      theirs: '- name: a\n  v: 1\n  w: 5\n- name: b\n  v: 2\n- name: y\n',
      expected: '- name: a\n  v: 9\n  w: 5\n- name: b\n  v: 2\n- name: m\n- name: y\n',
    },
    {
      name: 'one key added with two values',
      path: 'x.yml',
      base: 'a: 1\n',
      ours: 'a: 1\nb: 2\n',
      theirs: 'a: 1\nb: 3\n',
      expected: undefined,
    },
    {
      name: 'a block of text is one value',
      path: 'x.yml',
      base: 'a: |\n  one\n  two\nb: 1\n',
      ours: 'a: |\n  ONE\n  two\nb: 1\n',
      theirs: 'a: |\n  one\n  TWO\nb: 1\n',
      expected: undefined,
    },
  ],
  JSON: [
    {
      name: 'members of one object',
      path: 'x.json',
      base: '{\n  "a": 1,\n  "b": 2\n}\n',
      ours: '{\n  "a": 1.0,\n  "b": 2,\n  "m": 3\n}\n',
      theirs: '{\n  "a": 1,\n  "b": 5,\n  "y": 4\n}\n',
      expected: '{\n  "a": 1.0,\n  "b": 5,\n  "m": 3,\n  "y": 4\n}\n',
      rules: ['json'],
    },
    {
      name: 'a canvas: nodes by their id, in the layout of the file',
      path: 'x.canvas',
      base: '{"nodes":[\n\t{"id":"a","x":0},\n\t{"id":"b","x":1}\n]}',
      ours: '{"nodes":[\n\t{"id":"a","x":7},\n\t{"id":"b","x":1},\n\t{"id":"m","x":2}\n]}',
      theirs: '{"nodes":[\n\t{"id":"a","x":0},\n\t{"id":"b","x":8},\n\t{"id":"y","x":3}\n]}',
      expected: '{"nodes":[\n\t{"id":"a","x":7},\n\t{"id":"b","x":8},\n\t{"id":"m","x":2},\n\t{"id":"y","x":3}\n]}',
    },
    {
      name: 'one value in two ways',
      path: 'x.json',
      base: '{"a": 1}\n',
      ours: '{"a": 2}\n',
      theirs: '{"a": 3}\n',
      expected: undefined,
    },
    {
      name: 'a side that laid the file out anew',
      path: 'x.json',
      base: '{"a": 1, "b": 2}\n',
      ours: '{\n  "a": 1,\n  "b": 2\n}\n',
      theirs: '{"a": 1, "b": 3}\n',
      expected: '{\n  "a": 1,\n  "b": 3\n}\n',
    },
    {
      name: 'no JSON on one side',
      path: 'x.json',
      base: '{"a": 1}\n',
      ours: '{"a": 1, // x\n}\n',
      theirs: '{"a": 2}\n',
      expected: undefined,
    },
    {
      name: 'both added the file',
      path: 'x.json',
      base: undefined,
      ours: '{\n  "a": 1,\n  "m": 2\n}\n',
      theirs: '{\n  "a": 1,\n  "y": 3\n}\n',
      expected: '{\n  "a": 1,\n  "m": 2,\n  "y": 3\n}\n',
    },
  ],
  'both added the file': [
    {
      name: 'one has all of the other',
      base: undefined,
      ours: '# T\n\nabc\n',
      theirs: '# T\n\nabc\n\ndef\n',
      expected: '# T\n\nabc\n\ndef\n',
    },
    {
      name: 'two lists below one heading',
      base: undefined,
      ours: '# T\n\n- mine\n',
      theirs: '# T\n\n- yours\n',
      expected: '# T\n\n- mine\n- yours\n',
    },
    {
      name: 'two texts about two things: ours, then theirs',
      base: undefined,
      ours: '# 2026-11-26\n\nCats sleep.\n',
      theirs: '# 2026-11-26\n\nDogs walk.\n',
      expected: '# 2026-11-26\n\nCats sleep.\n\nDogs walk.\n',
      rules: ['paragraphs'],
    },
    {
      name: 'two texts that have words in common are two ways to say the same',
      base: undefined,
      ours: '# T\n\nThe cats of Rome sleep all day.\n',
      theirs: '# T\n\nAll the cats sleep in Rome.\n',
      expected: undefined,
    },
    {
      name: 'a field that both filled in, each in its way, tells two files of one template',
      base: undefined,
      ours: '# Meeting\n\nDate: Monday\n\nCats sleep.\n',
      theirs: '# Meeting\n\nDate: Friday\n\nDogs walk.\n',
      expected: undefined,
    },
    {
      name: 'blank lines in common tie no two texts together',
      base: undefined,
      ours: 'Cats sleep.\n\nThey dream of fish.\n',
      theirs: 'Dogs walk.\n\nEvery morning, rain or shine.\n',
      expected: 'Cats sleep.\n\nThey dream of fish.\n\nDogs walk.\n\nEvery morning, rain or shine.\n',
    },
  ],
};

describe('mergeFile', () => {
  for (const [group, cases] of Object.entries(groups)) {
    describe(group, () => {
      for (const { name, path = 'note.md', base, ours, theirs, expected, rules } of cases) {
        it(name, () => {
          const request = {
            base: base === undefined ? undefined : Buffer.from(base),
            ours: Buffer.from(ours),
            theirs: Buffer.from(theirs),
            path,
          };
          const result = mergeFile(request);
          if (expected === undefined)
            expect(result.kind === 'merged' ? result.data.toString() : result.kind).toBe('conflict');
          else expect(result.kind === 'merged' ? result.data.toString() : result).toBe(expected);
          if (rules !== undefined && result.kind === 'merged') expect(result.rules).toEqual(rules);
          const other = mergeFile({ ...request, ours: request.theirs, theirs: request.ours });
          expect(other.kind, 'the other way round').toBe(result.kind);
        });
      }
    });
  }

  it('shows a conflict between markers, with the base, and settles around it what can be settled', () => {
    const result = mergeFile({
      base: Buffer.from('the red fox runs\n- a\n'),
      ours: Buffer.from('the grey fox runs\n- a\n- mine\n'),
      theirs: Buffer.from('the brown fox runs\n- a\n- yours\n'),
      path: 'note.md',
    });
    expect(result).toMatchObject({ kind: 'conflict', reason: 'overlap', regions: 1 });
    const marked =
      result.kind === 'conflict' ? result.marked?.({ size: 7, ours: 'O', base: 'B', theirs: 'T' }) : undefined;
    expect(marked?.toString()).toBe(
      '<<<<<<< O\nthe grey fox runs\n||||||| B\nthe red fox runs\n=======\nthe brown fox runs\n>>>>>>> T\n- a\n- mine\n- yours\n',
    );
  });

  describe('bytes that are no UTF-8', () => {
    const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
    const merge = (base: string, ours: string, theirs: string): ReturnType<typeof mergeFile> =>
      mergeFile({ base: bytes(base), ours: bytes(ours), theirs: bytes(theirs), path: 'n.md' });

    it('merges Latin-1 by lines, byte by byte', () => {
      const result = merge('\xe9t\xe9\nb\nc\n', '\xe9t\xe9 \xe0\nb\nc\n', '\xe9t\xe9\nb\nc \xfc\n');
      expect(result.kind === 'merged' ? result.data : result).toEqual(bytes('\xe9t\xe9 \xe0\nb\nc \xfc\n'));
    });

    it('does not tell words of an unknown encoding', () => {
      expect(merge('\xe9 b c d\n', '\xe9 B c d\n', '\xe9 b c D\n').kind).toBe('conflict');
    });

    it('never mixes two encodings', () => {
      expect(merge('a\nb\nc\n', '\xe9\nb\nc\n', 'a\nb\n\xc3\xa9\n')).toMatchObject({
        kind: 'conflict',
        reason: 'encoding',
      });
    });

    it('leaves UTF-16 and binary files alone', () => {
      const wide = (text: string): Buffer => Buffer.from(`\uFEFF${text}`, 'utf16le');
      const result = mergeFile({ base: wide('a\nb\n'), ours: wide('A\nb\n'), theirs: wide('a\nB\n'), path: 'n.md' });
      expect(result).toMatchObject({ kind: 'conflict', reason: 'binary' });
      const marked = bytes('\xff\xfea');
      expect(merge('\xff\xfea', '\xff\xfeb', '\xff\xfec')).toMatchObject({ kind: 'conflict', reason: 'encoding' });
      expect(mergeFile({ base: marked, ours: marked, theirs: bytes('\xff\xfeb'), path: 'n' })).toMatchObject({
        kind: 'merged',
        data: bytes('\xff\xfeb'),
      });
    });
  });
});
