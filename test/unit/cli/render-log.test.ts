import { expect, it } from 'vitest';
import { renderLog } from '../../../src/cli/render-log.js';
import type { LoggedCommit, LogResult } from '../../../src/kb/log.js';
import type { Oid } from '../../../src/git/ids.js';
import type { RepoPath } from '../../../src/git/paths.js';

const same = (text: string): string => text;
const PLAIN = { bold: same, dim: same, green: same, yellow: same, red: same };
const COMMIT: LoggedCommit = {
  commit: 'a'.repeat(40) as Oid,
  subject: 'an \u001b[31midea\twith a tab',
  author: 'Ann \u202egnorw',
  email: 'ann@example.com',
  committedAt: '2026-01-02T03:04:05.000Z',
  authoredAt: null,
  parents: [],
  message: 'an idea\n',
  landed: false,
  path: 'notes/new.md' as RepoPath,
  from: 'old.md' as RepoPath,
  changes: [{ path: 'x\ny.md' as RepoPath, kind: 'added' }],
};
const resultOf = (...commits: LoggedCommit[]): LogResult => ({ branch: 'main', path: null, commits, more: true });

it('a commit is a line of fields in a pipe, whatever stands in it', () => {
  expect(
    renderLog.inPipe(resultOf(COMMIT, { ...COMMIT, committedAt: null, landed: null, path: null, changes: [] })),
  ).toEqual([
    `${'a'.repeat(40)}\t2026-01-02T03:04:05.000Z\tAnn \\u202egnorw\tlocal\tan \\x1b[31midea\\twith a tab\tnotes/new.md`,
    '\tA x\\ny.md',
    `${'a'.repeat(40)}\t\tAnn \\u202egnorw\t\tan \\x1b[31midea\\twith a tab\t`,
  ]);
});

it('under a terminal it is told with its age, its former name, and that it is here only', () => {
  const [line, file, more] = renderLog.onTerminal(resultOf(COMMIT), PLAIN, Date.parse('2026-01-02T05:04:05Z'));
  expect(line).toBe(
    'aaaaaaaaaa  2 hours ago     Ann \\u202egnorw  an \\x1b[31midea\\twith a tab  (was old.md)  not on the remote yet',
  );
  expect(file?.trim()).toBe('A x\\ny.md');
  expect(more).toContain('older');
});
