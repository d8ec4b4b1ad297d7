import { Args, Flags } from '@oclif/core';
import { KbCommand, openRequest } from '../cli/base-command.js';
import { renderLog } from '../cli/render-log.js';
import { readLog, type LogResult } from '../kb/log.js';
import { openKb } from '../kb/open.js';

export default class Log extends KbCommand {
  static override summary = 'Show who wrote what, newest first: in the KB, or in one file or folder.';
  static override description =
    'Of a file also what was written under its former names. Takes no lock. The remote is asked only where a shallow KB ' +
    'ends before there are as many commits as were asked for. In a pipe each is a line of tab-separated fields: commit, ' +
    'time, author, landed or local, its first line, the path after it; what is not known is empty.';
  static override examples = [
    '<%= config.bin %> log',
    '<%= config.bin %> log projects/mill.md --limit 5',
    '<%= config.bin %> log --files --json',
  ];
  static override args = {
    path: Args.string({ description: "A file or a folder, from the KB's root." }),
  };
  static override flags = {
    limit: Flags.integer({ char: 'n', default: 20, min: 1, max: 1_000_000, summary: 'Most commits to show.' }),
    files: Flags.boolean({ summary: 'With the files that each commit changed.' }),
    fetch: Flags.boolean({
      allowNo: true,
      default: true,
      summary: 'Ask the remote for the history that a shallow KB lacks.',
    }),
  };

  async run(): Promise<LogResult> {
    const { args, flags } = await this.parse(Log);
    const surroundings = this.start(flags);
    const result = await readLog(await openKb(surroundings, openRequest(flags)), {
      limit: flags.limit,
      files: flags.files,
      fetch: flags.fetch,
      ...(args.path === undefined ? {} : { path: args.path }),
    });
    this.terminal.done();
    const { out, isInteractive } = this.terminal;
    const lines = isInteractive
      ? renderLog.onTerminal(result, out, surroundings.clock.wall())
      : renderLog.inPipe(result);
    for (const line of lines) this.terminal.result(line);
    return result;
  }
}
