import { KbCommand } from '../cli/base-command.js';
import { listKbs } from '../kb/list.js';
import { printable } from '../printable.js';

export default class List extends KbCommand {
  static override summary = 'List the KBs registered with --name.';
  static override examples = ['<%= config.bin %> list', '<%= config.bin %> list --json'];

  async run(): Promise<object> {
    const { flags } = await this.parse(List);
    const kbs = listKbs(this.start(flags));
    this.terminal.done();
    const width = Math.max(4, ...kbs.map(({ name }) => name.length)) + 2;
    if (this.terminal.isInteractive) this.terminal.detail(this.terminal.out.dim(`${'NAME'.padEnd(width)}DIRECTORY`));
    for (const { name, directory, present } of kbs) {
      const row = this.terminal.isInteractive
        ? `${name.padEnd(width)}${printable(directory)}${present ? '' : ' (missing)'}`
        : `${name}\t${printable(directory)}`;
      this.terminal.result(row);
    }
    return { kbs };
  }
}
