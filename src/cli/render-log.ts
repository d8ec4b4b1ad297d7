import type { LoggedCommit, LogResult } from '../kb/log.js';
import { printable } from '../printable.js';
import { formatAge } from './format.js';
import type { Paint } from './paint.js';

const MARKS = { added: 'A', modified: 'M', deleted: 'D' } as const;

export const renderLog = {
  /** Fields with tabs between, a line each; the files of a commit follow it, each line begun by a tab. */
  inPipe({ commits }: LogResult): string[] {
    return commits.flatMap((one) => {
      const { commit, committedAt, author, landed, subject, path } = one;
      const state = landed === null ? '' : landed ? 'landed' : 'local';
      const fields = [commit, committedAt, author, state, subject, path].map((field) => printable(field ?? '', 4000));
      return [fields.join('\t'), ...filesOf(one).map((line) => `\t${line}`)];
    });
  },

  onTerminal({ commits, more }: LogResult, paint: Paint, nowMs: number): string[] {
    const width = Math.min(24, Math.max(0, ...commits.map(({ author }) => printable(author, 24).length)));
    const lines = commits.flatMap((one) => {
      const age = one.committedAt === null ? 'no known time' : formatAge(nowMs - Date.parse(one.committedAt));
      const author = printable(one.author, 24).padEnd(width);
      const local = one.landed === false ? paint.red('  not on the remote yet') : '';
      const was = one.from === undefined ? '' : paint.dim(`  (was ${printable(one.from)})`);
      const subject = printable(one.subject, 100);
      return [
        `${paint.yellow(one.commit.slice(0, 10))}  ${paint.dim(age.padEnd(14))}  ${author}  ${subject}${was}${local}`,
        ...filesOf(one).map((line) => paint.dim(`            ${line}`)),
      ];
    });
    return more ? [...lines, paint.dim('… and older ones')] : lines;
  },
};

function filesOf({ changes = [] }: LoggedCommit): string[] {
  return changes.map(({ kind, path }) => `${MARKS[kind]} ${printable(path, 4000)}`);
}
