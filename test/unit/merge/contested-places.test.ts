import { describe, expect, it } from 'vitest';
import { diffLines } from '../../../src/merge/diff.js';
import { KeyIds } from '../../../src/merge/line-text.js';
import { mergeFile } from '../../../src/merge/merge-file.js';
import type { RuleName } from '../../../src/merge/rule-names.js';
import { agreedBase } from '../../../src/merge/rules/agreed-lines.js';

interface Case {
  readonly name: string;
  readonly path?: string;
  readonly base: string;
  readonly ours: string;
  readonly theirs: string;
  /** The merged text, or undefined: it is left to a person. */
  readonly expected: string | undefined;
  readonly rules?: readonly RuleName[];
}

const words = (name: string, count: number): string =>
  Array.from({ length: count }, (_, at) => `${name}${at}${at % 10 === 9 ? '\n' : ' '}`)
    .join('')
    .trim();

const groups: Record<string, readonly Case[]> = {
  'an edit that wrote nothing': [
    {
      name: 'a comma goes with the sentence that the other side rewrote',
      base: 'The tide rises twice a day.\n',
      ours: 'Every twelve hours it comes a little later.\n',
      theirs: 'The tide rises, twice a day.\n',
      expected: 'Every twelve hours it comes a little later.\n',
      rules: ['wordless-edits'],
    },
    {
      name: 'the level of a heading stays on the heading that was reworded',
      base: '# Tides\n\ntext\n',
      ours: '# How the water moves\n\ntext\n',
      theirs: '## Tides\n\ntext\n',
      expected: '## How the water moves\n\ntext\n',
    },
    {
      name: 'a word of its own is no mark',
      base: 'The tide rises, twice a day.\n',
      ours: 'Every twelve hours it comes a little later.\n',
      theirs: 'The tide rises, thrice a day.\n',
      expected: undefined,
    },
    {
      name: 'words that were taken away do not come back with the rewritten sentence',
      base: 'The tide rises slowly twice.\n',
      ours: 'Water comes slowly back.\n',
      theirs: 'The tide rises twice.\n',
      expected: undefined,
    },
    {
      name: 'a rule between sections is no mark within one, and stays',
      base: 'The tide rises, twice a day.\n',
      ours: 'Every twelve hours it comes a little later.\n',
      theirs: 'The tide rises, twice a day.\n***\n',
      expected: 'Every twelve hours it comes a little later.\n***\n',
    },
    {
      name: 'in code a mark is a word',
      base: '```\na, b\n```\n',
      ours: '```\nc + d\n```\n',
      theirs: '```\na; b\n```\n',
      expected: undefined,
    },
    {
      name: 'half of a paragraph that goes on in a new line is no whole edit',
      base: 'The tide rises, twice a day.\n',
      ours: '## A day\n',
      theirs: 'The tide rises twice a day,\nwhich boats wait for.\n',
      expected: undefined,
    },
    ...[
      ['struck out', 'The ~~tide~~ rises\n'],
      ['made a link', 'The [[tide]] rises\n'],
      ['tagged', 'The #tide rises\n'],
    ].map(([what, theirs = '']) => ({
      name: `what was ${what} was written, and is kept`,
      base: 'The tide rises\n',
      ours: 'When water comes\n',
      theirs,
      expected: `When water comes\n\n${theirs}`,
    })),
  ],
  'marks put where the other side put words': [
    {
      name: 'an opening mark stays with what it opens',
      base: 'scroll down to **Harbour**.\n',
      ours: 'scroll down to the map of **Harbour**.\n',
      theirs: 'scroll down to [**Harbour**](#harbour).\n',
      expected: 'scroll down to the map of [**Harbour**](#harbour).\n',
      rules: ['words'],
    },
    {
      name: 'a full stop comes behind the words that go on with the sentence',
      base: 'Boats wait\n',
      ours: 'Boats wait.\n',
      theirs: 'Boats wait outside\n',
      expected: 'Boats wait outside.\n',
    },
    {
      name: 'a comma may belong before them or behind',
      base: 'Boats wait\n',
      ours: 'Boats wait,\n',
      theirs: 'Boats wait outside\n',
      expected: undefined,
    },
  ],
  'a clause that one side took away': [
    {
      name: 'is kept where the other one edited it, and that is said',
      base: 'Boats wait outside; see the list of tides for the hours.\n',
      ours: 'Boats wait outside; see the table of tides for the hours.\n',
      theirs: 'Boats wait outside.\n',
      expected: 'Boats wait outside; see the table of tides for the hours.\n',
      rules: ['delete-modify'],
    },
    {
      name: 'of a few words is a choice of words, where more was written',
      base: 'Boats wait calmly outside the harbour today.\n',
      ours: 'Boats wait bravely outside the harbour today.\n',
      theirs: 'Boats wait outside the harbour this day.\n',
      expected: undefined,
    },
    {
      name: 'and that stands between no marks is half a sentence',
      base: 'Boats that came in with the morning tide wait outside today.\n',
      ours: 'Boats that came in with the evening tide wait outside today.\n',
      theirs: 'Boats wait outside today.\n',
      expected: undefined,
    },
  ],
  'what is kept of deleted text': [
    {
      name: 'what the other side wrote instead, however little it is like it',
      base: 'top\n\n- buoys of the north channel\n\nend\n',
      ours: 'top\n\n- engines, oil and all other tools\n\nend\n',
      theirs: 'top\n\nend\n',
      expected: 'top\n\n- engines, oil and all other tools\n\nend\n',
      rules: ['delete-modify'],
    },
    {
      name: 'the item that was edited, not its neighbours',
      base: 'top\n\n- buoys of the north channel\n- lights of the east pier\n- depth at the quay\n\nend\n',
      ours: 'top\n\nend\n',
      theirs: 'top\n\n- buoys of the north channel\n- lights of the east pier, green\n- depth at the quay\n\nend\n',
      expected: 'top\n\n- lights of the east pier, green\n\nend\n',
      rules: ['delete-modify'],
    },
    {
      name: 'the paragraph that was edited, below its heading',
      base: `# Note\n\n## First\n\n${words('alpha', 30)}\n\n## Second\n\n${words('beta', 30)}\n\n${words('gamma', 30)}\n`,
      ours: '# Note\n\nSee elsewhere.\n',
      theirs: `# Note\n\n## First\n\n${words('alpha', 30)}\n\n## Second\n\n${words('beta', 30)}\n\n${words('gamma', 30)} new\n`,
      expected: `# Note\n\nSee elsewhere.\n\n## Second\n\n${words('gamma', 30)} new\n`,
      rules: ['delete-modify'],
    },
    {
      name: 'what stands between two edited paragraphs of a section',
      base: 'top\n\none red thing\n\n- two\n\nthree blue things\n\nend\n',
      ours: 'top\n\nend\n',
      theirs: 'top\n\none red thing, new\n\n- two\n\nthree blue things, new\n\nend\n',
      expected: 'top\n\none red thing, new\n\n- two\n\nthree blue things, new\n\nend\n',
    },
    {
      name: 'the head of the table whose row was edited',
      base: 'top\n\n| boat | port |\n|---|---|\n| Anna | Kiel |\n| Berta | Bergen |\n\nend\n',
      ours: 'top\n\nend\n',
      theirs: 'top\n\n| boat | port |\n|---|---|\n| Anna | Kiel |\n| Berta | Oslo |\n\nend\n',
      expected: 'top\n\n| boat | port |\n|---|---|\n| Berta | Oslo |\n\nend\n',
    },
    {
      name: 'what the links of an edited paragraph are defined by',
      base: 'top\n\nold [chart] of it\n\n- other thing\n\n[chart]: https://chart.example\n[map]: https://map.example\n\nend\n',
      ours: 'top\n\nend\n',
      theirs:
        'top\n\nold [chart] of it, new\n\n- other thing\n\n[chart]: https://chart.example\n[map]: https://map.example\n\nend\n',
      expected: 'top\n\nold [chart] of it, new\n\n[chart]: https://chart.example\n\nend\n',
    },
    {
      name: 'the whole of what HTML encloses',
      base: 'top\n\n<details>\n\none red thing\n\n- two\n\n</details>\n\nend\n',
      ours: 'top\n\nend\n',
      theirs: 'top\n\n<details>\n\none red thing, new\n\n- two\n\n</details>\n\nend\n',
      expected: 'top\n\n<details>\n\none red thing, new\n\n- two\n\n</details>\n\nend\n',
    },
  ],
  'lines that both sides wrote': [
    {
      name: 'are agreed on, and the rest is merged as if they had been there',
      base: 'The harbour opens late.\n',
      ours: 'The harbour opens at six in the morning:\n* for boats of the town,\n* for ferries.\n',
      theirs: 'The harbour opens at six in the morning:\n* for boats of the town\n* for ferries.\n',
      expected: 'The harbour opens at six in the morning:\n* for boats of the town,\n* for ferries.\n',
    },
    {
      name: 'are no reason to keep what one side has deleted since',
      base: 'old start\n\nkept by both sides for now\n\nold end\n',
      ours: 'new start that both sides wrote alike\n\nkept by both sides for now\n\nnew end that both wrote alike\nmore of mine\n',
      theirs: 'new start that both sides wrote alike\n\nnew end that both wrote alike\n',
      expected: 'new start that both sides wrote alike\n\nnew end that both wrote alike\nmore of mine\n',
    },
    {
      name: 'do not make two additions of two ways to reword one line',
      base: 'Boats of the town wait outside the harbour.\n',
      ours: 'A new line that both of them wrote.\nBoats of the town sleep in front of the harbour.\n',
      theirs: 'A new line that both of them wrote.\nShips of the town wait beyond the lighthouse.\n',
      expected: undefined,
    },
  ],
  'the larger of two edits of one line': [
    {
      name: 'stands in code, too, for it puts nothing together',
      base: '```\nprice: income * 2\n```\n',
      ours: '```\nprice: self.income * 2,\n```\n',
      theirs: '```\nprice: income * 2,\n```\n',
      expected: '```\nprice: self.income * 2,\n```\n',
      rules: ['superset'],
    },
    {
      name: 'is none where each did something of its own',
      base: '```\nprice: income * 2\n```\n',
      ours: '```\nprice: self.income * 2\n```\n',
      theirs: '```\nprice: income * 2,\n```\n',
      expected: undefined,
    },
    {
      name: 'is none where a mark was changed that the other side has dropped',
      base: '```\na + b\n```\n',
      ours: '```\na - b\n```\n',
      theirs: '```\nc * d\n```\n',
      expected: undefined,
    },
  ],
  'lines that one side put elsewhere': [
    {
      name: 'get what the other side put below one of them',
      base: '# Red\n\n- apples from the old garden\n- cherries from the market\n\n# Blue\n\n- berries from the wood\n',
      ours: '# Blue\n\n- berries from the wood\n\n# Fruit of all kinds\n\n- cherries from the market\n- apples from the old garden\n',
      theirs:
        '# Red\n\n- apples from the old garden\n- plums\n- cherries from the market\n\n# Blue\n\n- berries from the wood\n',
      expected:
        '# Blue\n\n- berries from the wood\n\n# Fruit of all kinds\n\n- cherries from the market\n- apples from the old garden\n- plums\n',
      rules: ['moved'],
    },
    {
      name: 'get the words that the other side added to them',
      base: '# Red\n\n- apples from the old garden\n- cherries from the market\n\n# Blue\n\n- berries from the wood\n',
      ours: '# Blue\n\n- berries from the wood\n\n# Fruit of all kinds\n\n- cherries from the market\n- apples from the old garden\n',
      theirs:
        '# Red\n\n- apples from the old garden, peeled\n- cherries from the market\n\n# Blue\n\n- berries from the wood\n',
      expected:
        '# Blue\n\n- berries from the wood\n\n# Fruit of all kinds\n\n- cherries from the market\n- apples from the old garden, peeled\n',
      rules: ['moved'],
    },
    {
      name: 'are not reworded there: the mover wrote the old words, too',
      base: '# Red\n\n- apples from the old garden\n- cherries from the market\n\n# Blue\n\n- berries from the wood\n',
      ours: '# Blue\n\n- berries from the wood\n\n# Fruit of all kinds\n\n- cherries from the market\n- apples from the old garden\n',
      theirs:
        '# Red\n\n- apples from the new garden\n- cherries from the market\n\n# Blue\n\n- berries from the wood\n',
      expected: undefined,
    },
  ],
  'what counts as said twice': [
    {
      name: 'a short line that both sides added in different places is theirs and ours',
      base: '- in (stub)\n- between\n- out (stub)\n',
      ours: '- in\n  - all\n  - some\n- between\n- out (stub)\n',
      theirs: '- in (stub)\n- between\n- out\n  - all\n  - none\n',
      expected: '- in\n  - all\n  - some\n- between\n- out\n  - all\n  - none\n',
    },
  ],
};

describe('places that both sides changed', () => {
  for (const [group, cases] of Object.entries(groups)) {
    describe(group, () => {
      for (const { name, path = 'note.md', base, ours, theirs, expected, rules } of cases) {
        it(name, () => {
          const merged = mergeFile({
            base: Buffer.from(base),
            ours: Buffer.from(ours),
            theirs: Buffer.from(theirs),
            path,
          });
          const text = merged.kind === 'merged' ? merged.data.toString() : undefined;
          expect(text).toBe(expected);
          if (rules !== undefined && merged.kind === 'merged') expect(merged.rules).toEqual(rules);
        });
      }
    });
  }
});

describe('the base that both sides agree on', () => {
  const agreed = (base: string, ours: string, theirs: string): readonly string[] | undefined => {
    const [b, o, t] = [base, ours, theirs].map((text) => text.split(' '));
    const ids = new KeyIds();
    const [bIds, oIds, tIds] = [b ?? [], o ?? [], t ?? []].map((lines) => ids.of(lines));
    const [byUs, byThem] = [diffLines(bIds ?? NONE, oIds ?? NONE), diffLines(bIds ?? NONE, tIds ?? NONE)];
    return agreedBase(b ?? [], o ?? [], t ?? [], byUs, byThem, diffLines(oIds ?? NONE, tIds ?? NONE));
  };
  const NONE = new Int32Array();
  const line = 'a-line-that-both-have-written';

  it('has what both wrote, and what either has left', () => {
    expect(agreed('a b c', `a ${line} b`, `a ${line} c`)).toEqual(['a', line, 'b', 'c']);
  });

  it('is none where both wrote nothing alike', () => {
    expect(agreed('a b c', 'a x b', 'a y c')).toBeUndefined();
  });

  it('is none where a side moved a line: that is no deletion', () => {
    expect(agreed('a b c', `a b ${line} c`, `a ${line} b c`)).toBeUndefined();
  });
});
