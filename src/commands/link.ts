import { Args, Flags } from '@oclif/core';
import { KbCommand, openRequest } from '../cli/base-command.js';
import { findLink, parseLines } from '../kb/link.js';
import { openKb } from '../kb/open.js';

export default class Link extends KbCommand {
  static override summary = 'Print a lasting link to a file on the web.';
  static override description =
    'The link names the newest commit on the remote that has the file, so it shows the same text for ever. ' +
    'Asks no remote, but where a shallow KB lacks the history of a file that is gone. A file that is not on the remote yet ' +
    'is exit code 7.';
  static override examples = [
    '<%= config.bin %> link inbox/idea.md',
    '<%= config.bin %> link --line 12-20 projects/mill.md',
    '<%= config.bin %> link --heading "## Log" diary.md --json',
  ];
  static override args = {
    path: Args.string({ required: true, description: "The file, from the KB's root." }),
  };
  static override flags = {
    line: Flags.string({ summary: 'Link to this line, or these lines.', helpValue: 'N[-M]', exclusive: ['heading'] }),
    heading: Flags.string({ summary: 'Link to the line of this heading, as it is in the commit on the remote.' }),
    deep: Flags.boolean({
      summary: 'Of a file that is gone, fetch and look through all history, not only the newest 1,360 commits.',
    }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Link);
    const kb = await openKb(this.start(flags), openRequest(flags));
    const result = await findLink(kb, {
      deep: flags.deep,
      path: args.path,
      ...(flags.line === undefined ? {} : { lines: parseLines(flags.line) }),
      ...(flags.heading === undefined ? {} : { heading: flags.heading }),
    });
    this.terminal.done();
    this.terminal.result(result.url);
    return result;
  }
}
