import { Args, Flags } from '@oclif/core';
import { KbCommand, openRequest } from '../cli/base-command.js';
import { renderDiff } from '../cli/render-diff.js';
import { readDiff } from '../kb/diff.js';
import { openKb } from '../kb/open.js';

export default class Diff extends KbCommand {
  static override summary = 'Show what differs: local edits, or what a commit changed.';
  static override description =
    'Without a flag: the files on disk from the last commit, with new files, as the next `kb sync` would commit them. Takes ' +
    'no lock and changes nothing. In a pipe a patch that `git apply` takes; with --stat lines of tab-separated fields: ' +
    'lines added, deleted (`-` for what is no text), kind, path, former path.';
  static override examples = [
    '<%= config.bin %> diff',
    '<%= config.bin %> diff --commit 9c60590bc6 projects',
    '<%= config.bin %> diff --since v1.0 --stat --json',
  ];
  static override strict = false;
  static override args = {
    path: Args.string({ description: "Files and folders, from the KB's root; none: all." }),
  };
  static override flags = {
    commit: Flags.string({
      summary: 'What this commit changed: its id or the first digits of it, a branch or a tag.',
      helpValue: 'COMMIT',
      exclusive: ['since'],
    }),
    since: Flags.string({ summary: 'What differs between this commit and the files on disk.', helpValue: 'COMMIT' }),
    stat: Flags.boolean({ summary: 'Only how much changed, a line for each file.' }),
  };

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Diff);
    const surroundings = this.start(flags);
    const result = await readDiff(await openKb(surroundings, openRequest(flags)), {
      paths: argv as string[],
      ...(flags.commit === undefined ? {} : { commit: flags.commit }),
      ...(flags.since === undefined ? {} : { since: flags.since }),
    });
    this.terminal.done();
    const { out, isInteractive } = this.terminal;
    if (flags.stat)
      for (const line of isInteractive ? renderDiff.counts(result) : renderDiff.countsInPipe(result))
        this.terminal.result(line);
    else if (isInteractive) for (const line of renderDiff.onTerminal(result, out)) this.terminal.result(line);
    else this.terminal.bytes(result.diff);
    return { ...result, diff: result.diff.toString('utf8') };
  }
}
