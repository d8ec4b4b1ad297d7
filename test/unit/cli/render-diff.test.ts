import { expect, it } from 'vitest';
import { renderDiff } from '../../../src/cli/render-diff.js';
import type { DiffResult } from '../../../src/kb/diff.js';
import type { RepoPath } from '../../../src/git/paths.js';

const mark = (name: string) => (text: string) => `<${name}>${text}`;
const PAINT = { bold: mark('b'), dim: mark('d'), green: mark('g'), yellow: mark('y'), red: mark('r') };
const PATCH = [
  'diff --git a/x.md b/x.md',
  'index 1..2 100644',
  '--- a/x.md',
  '+++ b/x.md',
  '@@ -1,3 +1,3 @@ Heading',
  ' kept\twith a tab',
  '--- a list of dashes',
  '+\u001b[31mred \u202e',
  ' a line of windows\r',
  '',
].join('\n');
const RESULT: DiffResult = {
  from: null,
  to: null,
  changes: [
    { path: 'x.md' as RepoPath, kind: 'renamed', from: 'a\nb.md' as RepoPath, added: 1, deleted: 1 },
    { path: 'y.bin' as RepoPath, kind: 'added', added: null, deleted: null },
  ],
  diff: Buffer.from(PATCH),
};

it('under a terminal what acts on it is made visible', () => {
  expect(renderDiff.onTerminal(RESULT, PAINT)).toEqual([
    '<b>diff --git a/x.md b/x.md',
    '<b>index 1..2 100644',
    '<b>--- a/x.md',
    '<b>+++ b/x.md',
    '<y>@@ -1,3 +1,3 @@ Heading',
    ' kept\twith a tab',
    '<r>--- a list of dashes',
    '<g>+\\x1b[31mred \\u202e',
    ' a line of windows',
    '<d>2 files',
  ]);
  expect(renderDiff.onTerminal({ ...RESULT, changes: [], diff: Buffer.alloc(0) }, PAINT)).toEqual(['<d>no difference']);
});

it('counts are a line for each file', () => {
  expect(renderDiff.counts(RESULT).map((line) => line.split(/ {2,}/))).toEqual([
    ['+1 −1', 'renamed', 'x.md', '(was a\\nb.md)'],
    ['no text', 'added', 'y.bin'],
  ]);
});

it('in a pipe they are fields', () => {
  expect(renderDiff.countsInPipe(RESULT)).toEqual(['1\t1\trenamed\tx.md\ta\\nb.md', '-\t-\tadded\ty.bin\t']);
});
