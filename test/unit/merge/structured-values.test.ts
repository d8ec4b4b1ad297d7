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
  /** undefined: a conflict. */
  readonly expected: string | undefined;
  readonly rules?: readonly RuleName[];
}

/** A note of front matter alone. */
const note = (...lines: readonly string[]): string => `---\n${lines.join('\n')}\n---\n`;

const groups: Record<string, readonly Case[]> = {
  'the later of two values': [
    {
      name: 'a version that both raised',
      base: note('latest: "1.9.2"'),
      ours: note('latest: "1.10.0"'),
      theirs: note('latest: "1.9.3"'),
      expected: note('latest: "1.10.0"'),
      rules: ['newest-version'],
    },
    {
      name: 'a version that one side took back is a decision',
      base: note('latest: "1.9.2"'),
      ours: note('latest: "1.9.1"'),
      theirs: note('latest: "1.9.3"'),
      expected: undefined,
    },
    {
      name: 'a version and its date that come from two sides belong to no release',
      base: note('latest: "1.0.0"', 'latest-date: 2026-11-01'),
      ours: note('latest: "1.2.0"', 'latest-date: 2026-11-02'),
      theirs: note('latest: "1.1.0"', 'latest-date: 2026-11-03'),
      expected: undefined,
    },
    {
      name: 'ranges of versions in YAML, of one form',
      path: 'x.yaml',
      base: 'catalog:\n  paint: ^1.2.0\n  brush: ~2.0.0\n',
      ours: 'catalog:\n  paint: ^1.3.0\n  brush: ~2.0.1\n',
      theirs: 'catalog:\n  paint: ^1.2.9\n  brush: ~2.0.3\n',
      expected: 'catalog:\n  paint: ^1.3.0\n  brush: ~2.0.3\n',
      rules: ['newest-version'],
    },
    {
      name: 'ranges of two forms',
      path: 'x.yaml',
      base: 'paint: ^1.2.0\n',
      ours: 'paint: ^1.3.0\n',
      theirs: 'paint: ~1.4.0\n',
      expected: undefined,
    },
    {
      name: 'a version in JSON',
      path: 'x.json',
      base: '{"name": "x", "version": "1.2.0"}\n',
      ours: '{"name": "x", "version": "1.3.0"}\n',
      theirs: '{"name": "x", "version": "1.2.1"}\n',
      expected: '{"name": "x", "version": "1.3.0"}\n',
      rules: ['json', 'newest-version'],
    },
    {
      name: 'a version and its date from two sides, in JSON',
      path: 'x.json',
      base: '{"latest": "1.0.0", "latestDate": "2026-11-01"}\n',
      ours: '{"latest": "1.2.0", "latestDate": "2026-11-02"}\n',
      theirs: '{"latest": "1.1.0", "latestDate": "2026-11-03"}\n',
      expected: undefined,
    },
    {
      name: 'a price',
      base: note('price: 1.20'),
      ours: note('price: 1.30'),
      theirs: note('price: 1.40'),
      expected: undefined,
    },
    {
      name: 'a date with points',
      base: note('due: 1.12.2026'),
      ours: note('due: 2.12.2026'),
      theirs: note('due: 3.12.2026'),
      expected: undefined,
    },
    {
      name: 'the last time of something, deep inside',
      path: 'x.yml',
      base: 'plants:\n- name: fern\n  last-watered: 2026-11-01\n',
      ours: 'plants:\n- name: fern\n  last-watered: 2026-11-20\n',
      theirs: 'plants:\n- name: fern\n  last-watered: 2026-11-22\n',
      expected: 'plants:\n- name: fern\n  last-watered: 2026-11-22\n',
      rules: ['yaml', 'newest-date'],
    },
    {
      name: 'a last time that one side set back',
      base: note('last-seen: 2026-11-10'),
      ours: note('last-seen: 2026-11-09'),
      theirs: note('last-seen: 2026-11-12'),
      expected: undefined,
    },
    {
      name: 'when a record was last changed, in JSON',
      path: 'x.json',
      base: '[{"id": 1, "a": 1, "b": 1, "modified": 1700000000000}]\n',
      ours: '[{"id": 1, "a": 2, "b": 1, "modified": 1700000000001}]\n',
      theirs: '[{"id": 1, "a": 1, "b": 2, "modified": 1700000000002}]\n',
      expected: '[{"id": 1, "a": 2, "b": 2, "modified": 1700000000002}]\n',
      rules: ['json', 'newest-date'],
    },
    {
      name: 'the date of an event is no date of a change',
      path: 'x.json',
      base: '{"feast": {"date": "2026-11-01"}}\n',
      ours: '{"feast": {"date": "2026-11-02"}}\n',
      theirs: '{"feast": {"date": "2026-11-03"}}\n',
      expected: undefined,
    },
  ],
  'a value and the comment behind it': [
    {
      name: 'one side changed the value, the other the comment',
      path: 'x.yml',
      base: 'port: 80 # plain\nhost: a\n',
      ours: 'port: 8080 # plain\nhost: a\n',
      theirs: 'port: 80 # behind the proxy\nhost: a\n',
      expected: 'port: 8080 # behind the proxy\nhost: a\n',
    },
    {
      name: 'both added one value, one of them with a comment',
      path: 'x.yml',
      base: undefined,
      ours: 'branch: main\n',
      theirs: 'branch: main # where notes go\nfolder: x\n',
      expected: 'branch: main # where notes go\nfolder: x\n',
    },
    {
      name: 'a mark within quotes begins no comment',
      path: 'x.yml',
      base: 'color: "a #1"\n',
      ours: 'color: "b #1"\n',
      theirs: 'color: "a #2"\n',
      expected: undefined,
    },
    {
      name: 'two comments',
      path: 'x.yml',
      base: 'port: 80\n',
      ours: 'port: 80 # one\n',
      theirs: 'port: 80 # two\n',
      expected: undefined,
    },
  ],
  'sets on one line': [
    {
      name: 'tags that commas set apart',
      base: note('tags: cats, dogs'),
      ours: note('tags: cats, dogs, birds'),
      theirs: note('tags: cats, fish'),
      expected: note('tags: cats, birds, fish'),
    },
    {
      name: 'in quotes, and none before',
      base: note('labels:'),
      ours: note('labels: "cats,birds"'),
      theirs: note('labels: fish'),
      expected: note('labels: "cats,birds,fish"'),
    },
    {
      name: 'a text with a comma',
      base: note('title: A'),
      ours: note('title: A, B'),
      theirs: note('title: A, C'),
      expected: undefined,
    },
  ],
  'keys that got another name': [
    {
      name: 'the value changed under the old one',
      path: 'x.yml',
      base: 'shoes:\n- name: boot\n  release: 2024-01-01\n  size: 40\n',
      ours: 'shoes:\n- name: boot\n  size: 40\n  released: 2024-01-01\n',
      theirs: 'shoes:\n- name: boot\n  release: 2024-02-02\n  size: 40\n',
      expected: 'shoes:\n- name: boot\n  size: 40\n  released: 2024-02-02\n',
    },
    {
      name: 'in JSON',
      path: 'x.json',
      base: '{"shoe": {"site": "http://a.example", "size": 40}}\n',
      ours: '{"shoe": {"url": "http://a.example", "size": 40}}\n',
      theirs: '{"shoe": {"site": "https://a.example", "size": 41}}\n',
      expected: '{"shoe": {"url": "https://a.example", "size": 41}}\n',
    },
    {
      name: 'by both sides, and one changed its value, too',
      path: 'x.yml',
      base: 'shoe:\n  site: http://a.example\n  size: 40\n',
      ours: 'shoe:\n  url: http://a.example\n  size: 40\n',
      theirs: 'shoe:\n  url: https://a.example\n  size: 41\n',
      expected: 'shoe:\n  url: https://a.example\n  size: 41\n',
    },
    {
      name: 'by both sides, in JSON',
      path: 'x.json',
      base: '{"shoe": {"site": {"type": "text"}, "size": 40}}\n',
      ours: '{"shoe": {"url": {"type": "text"}, "size": 40}}\n',
      theirs: '{"shoe": {"url": {"type": "link"}, "size": 41}}\n',
      expected: '{"shoe": {"url": {"type": "link"}, "size": 41}}\n',
    },
    {
      name: 'two keys of one value: nobody knows which it was',
      path: 'x.yml',
      base: 'from: 2024-01-01\nto: 2024-01-01\n',
      ours: 'start: 2024-01-01\n',
      theirs: 'from: 2024-02-02\nto: 2024-01-01\n',
      expected: undefined,
    },
    {
      name: 'a value that says nothing',
      path: 'x.yml',
      base: 'draft: true\nname: x\n',
      ours: 'hidden: true\nname: x\n',
      theirs: 'draft: false\nname: x\n',
      expected: undefined,
    },
  ],
  'lists of maps': [
    {
      name: 'items whose first lines are alike are told apart by the member that names them',
      path: 'nav.yml',
      base: 'items:\n- type: link\n  title: Cats\n  file: cats.md\n',
      ours: 'items:\n- type: link\n  title: Cats\n  file: cats.md\n- type: link\n  title: Birds\n  file: birds.md\n',
      theirs: 'items:\n- type: link\n  title: Cats\n  file: cats.md\n- type: link\n  title: Fish\n  file: fish.md\n',
      expected:
        'items:\n- type: link\n  title: Cats\n  file: cats.md\n- type: link\n  title: Birds\n  file: birds.md\n' +
        '- type: link\n  title: Fish\n  file: fish.md\n',
      rules: ['yaml'],
    },
    {
      name: 'elements of JSON that nothing names, edited in place by both',
      path: 'x.json',
      base: '[\n  {"a": 1, "b": 1, "c": 1, "d": 1}\n]\n',
      ours: '[\n  {"a": 2, "b": 1, "c": 1, "d": 1}\n]\n',
      theirs: '[\n  {"a": 1, "b": 1, "c": 1, "d": 5}\n]\n',
      expected: '[\n  {"a": 2, "b": 1, "c": 1, "d": 5}\n]\n',
    },
    {
      name: 'elements of JSON that are others now',
      path: 'x.json',
      base: '[{"a": 1, "b": 1}]\n',
      ours: '[{"x": 2, "y": 1}]\n',
      theirs: '[{"p": 1, "q": 5}]\n',
      expected: undefined,
    },
    {
      name: 'an item that one side gave another name, and the other side edited',
      path: 'x.yml',
      base: 'cats:\n- name: tom\n  age: 1\n  food: fish\n- name: max\n  age: 2\n',
      ours: 'cats:\n- name: thomas\n  age: 1\n  food: fish\n- name: max\n  age: 2\n',
      theirs: 'cats:\n- name: tom\n  age: 3\n  food: fish\n- name: max\n  age: 2\n',
      expected: 'cats:\n- name: thomas\n  age: 3\n  food: fish\n- name: max\n  age: 2\n',
    },
    {
      name: 'two documents in one file',
      path: 'x.yml',
      base: 'a: 1\nb: 1\n---\na: 1\n',
      ours: 'a: 2\nb: 1\n---\na: 1\n',
      theirs: 'a: 1\nb: 2\n---\na: 3\n',
      expected: 'a: 2\nb: 2\n---\na: 3\n',
    },
    {
      name: 'cells of a notebook',
      path: 'x.ipynb',
      base: '{"cells": [{"id": "a", "source": ["x"]}]}\n',
      ours: '{"cells": [{"id": "a", "source": ["x"]}, {"id": "b", "source": ["y"]}]}\n',
      theirs: '{"cells": [{"id": "a", "source": ["z"]}]}\n',
      expected: '{"cells": [{"id": "a", "source": ["z"]}, {"id": "b", "source": ["y"]}]}\n',
    },
    {
      name: 'a comment at the margin, amid a list at the margin',
      path: 'x.yml',
      base: 'list:\n- a: 1\n# two\n- b: 1\nend: 1\n',
      ours: 'list:\n- a: 1\n# two\n- b: 2\nend: 1\n',
      theirs: 'list:\n- a: 1\n# two\n- b: 1\nend: 2\n',
      expected: 'list:\n- a: 1\n# two\n- b: 2\nend: 2\n',
    },
    {
      name: 'a comment that stands above what one side put first, indented anew by the other',
      path: 'x.yml',
      base: 'list:\n  # newest first\n  - name: a\n    n: 1\n',
      ours: 'list:\n  # newest first\n  - name: b\n    n: 2\n  - name: a\n    n: 1\n',
      theirs: 'list:\n  # newest first\n-   name: a\n    n: 1\n',
      expected: 'list:\n# newest first\n-   name: b\n    n: 2\n-   name: a\n    n: 1\n',
    },
  ],
  'lists and maps in brackets': [
    {
      name: 'both added to a list',
      base: note('steps: [wash, "cut"]'),
      ours: note('steps: [wash, "cut", cook]'),
      theirs: note('steps: [wash, "cut", [eat, sleep]]'),
      expected: note('steps: [wash, "cut", cook, [eat, sleep]]'),
    },
    {
      name: 'one added, the other took away',
      base: note('steps: [ wash,cut ]'),
      ours: note('steps: [ wash,cut,cook ]'),
      theirs: note('steps: [ cut ]'),
      expected: note('steps: [ cut,cook ]'),
    },
    {
      name: 'both replaced one value',
      base: note('steps: [wash, cut]'),
      ours: note('steps: [wash, tear]'),
      theirs: note('steps: [wash, slice]'),
      expected: undefined,
    },
    {
      name: 'members of a map, and of a map within',
      path: 'x.yml',
      base: 'cat: {age: 1, food: {fish: 1, milk: 1}}\n',
      ours: 'cat: {age: 2, food: {fish: 2, milk: 1}}\n',
      theirs: 'cat: {age: 1, food: {fish: 1, milk: 3}, name: "Tom, the cat"}\n',
      expected: 'cat: {age: 2, food: {fish: 2, milk: 3}, name: "Tom, the cat"}\n',
    },
    {
      name: 'one member of a map in two ways',
      path: 'x.yml',
      base: 'cat: {age: 1}\n',
      ours: 'cat: {age: 2}\n',
      theirs: 'cat: {age: 3}\n',
      expected: undefined,
    },
    {
      name: 'brackets that do not close',
      path: 'x.yml',
      base: 'cat: [a\n',
      ours: 'cat: [a, b\n',
      theirs: 'cat: [a, c\n',
      expected: undefined,
    },
  ],
  'files made from one template': [
    {
      name: 'each side filled in another field',
      base: undefined,
      ours: '# Meeting\n\nPlace:\nDate: Monday\n\nEnd\n',
      theirs: '# Meeting\n\nPlace: Rome\nDate: \n\nEnd\n',
      expected: '# Meeting\n\nPlace: Rome\nDate: Monday\n\nEnd\n',
      rules: ['filled-fields'],
    },
    {
      name: 'and of the front matter',
      base: undefined,
      ours: note('place:', 'date: 2026-11-26'),
      theirs: note('place: Rome', 'date:'),
      expected: note('place: Rome', 'date: 2026-11-26'),
    },
    {
      name: 'both filled in one field',
      base: undefined,
      ours: '# Meeting\n\nPlace: Paris\nDate:\n\nEnd\n',
      theirs: '# Meeting\n\nPlace: Rome\nDate: Monday\n\nEnd\n',
      expected: undefined,
    },
    {
      name: 'a value that one side took away is no empty field',
      base: note('place: Rome'),
      ours: note('place:'),
      theirs: note('place: Paris'),
      expected: undefined,
    },
  ],
  'several lines of one entry': [
    {
      name: 'a text below a key is merged by lines',
      path: 'x.yml',
      base: 'run: |\n  one\n  two\n  three\n  four\nnext: 1\n',
      ours: 'run: |\n  one!\n  two\n  three\n  four\nnext: 2\n',
      theirs: 'run: |\n  one\n  two\n  three\n  four!\nnext: 1\nlast: 1\n',
      expected: 'run: |\n  one!\n  two\n  three\n  four!\nnext: 2\nlast: 1\n',
    },
    {
      name: 'and never by words',
      path: 'x.yml',
      base: 'run: |\n  the small fox runs\n',
      ours: 'run: |\n  a small fox runs\n',
      theirs: 'run: |\n  the small fox walks\n',
      expected: undefined,
    },
    {
      name: 'comments of which each side changed another line',
      path: 'x.yml',
      base: 'a: 1\n# one\n# two\nb: 1\n',
      ours: 'a: 1\n# ONE\n# two\nb: 1\n',
      theirs: 'a: 1\n# one\n# TWO\nb: 1\n',
      expected: 'a: 1\n# ONE\n# TWO\nb: 1\n',
    },
  ],
  'one text in two shapes': [
    {
      name: 'both added it, broken into other lines',
      base: '# T\n',
      ours: '# T\n\n> Cats sleep by the fire\n> all day.\n',
      theirs: '# T\n\n> Cats sleep by the\n> fire all\n> day.\n',
      expected: '# T\n\n> Cats sleep by the fire\n> all day.\n',
      rules: ['same-change'],
    },
    {
      name: 'an item is no paragraph for that',
      base: '# T\n\nx\n',
      ours: '# T\n\nCats sleep by the fire\n- all day\n',
      theirs: '# T\n\nCats sleep by the fire - all day\n',
      expected: undefined,
    },
    {
      name: 'a paragraph among others that both added',
      base: '# T\n',
      ours: '# T\n\nCats sleep by the fire\nall day.\n\nBirds sing.\n',
      theirs: '# T\n\nCats sleep by\nthe fire all day.\n\nFish swim.\n',
      expected: '# T\n\nCats sleep by the fire\nall day.\n\nBirds sing.\n\nFish swim.\n',
    },
    {
      name: 'both reworded a line alike, but for a comma and a dash',
      base: 'the quick brown fox\n',
      ours: 'Cats, who sleep - all day\n',
      theirs: 'Cats who sleep – all day.\n',
      expected: 'Cats, who sleep - all day\n',
      rules: ['same-words'],
    },
    {
      name: 'a question is no statement, and a sign no dash',
      base: 'the quick brown fox\n',
      ours: 'Is it -5 now?\n',
      theirs: 'Is it 5 now\n',
      expected: undefined,
    },
  ],
  'where united parts go': [
    {
      name: 'entries between two neighbours that are in order',
      base: '- zebra\n- yak\n- ant\n- gnu\n- emu\n',
      ours: '- zebra\n- yak\n- ant\n- cat\n- gnu\n- emu\n',
      theirs: '- zebra\n- yak\n- ant\n- bee\n- gnu\n- emu\n',
      expected: '- zebra\n- yak\n- ant\n- bee\n- cat\n- gnu\n- emu\n',
      rules: ['sorted-list'],
    },
    {
      name: 'rows above a new section: no blank line may end the table',
      base: '| a | b |\n|---|---|\n| 1 | x |\n\n## End\n',
      ours: '| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |\n\n## Cats\n\nThey sleep.\n\n## End\n',
      theirs: '| a | b |\n|---|---|\n| 1 | x |\n| 3 | z |\n\n## End\n',
      expected: '| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |\n| 3 | z |\n\n## Cats\n\nThey sleep.\n\n## End\n',
    },
  ],
};

describe('values and entries of structured texts', () => {
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
          const merged = result.kind === 'merged' ? result.data.toString() : undefined;
          expect(merged).toBe(expected);
          if (rules !== undefined && result.kind === 'merged') expect(result.rules).toEqual(rules);
          const other = mergeFile({ ...request, ours: request.theirs, theirs: request.ours });
          expect(other.kind, 'the other way round').toBe(result.kind);
        });
      }
    });
  }
});
