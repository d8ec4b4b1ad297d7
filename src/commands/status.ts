import { Flags } from '@oclif/core';
import { KbCommand, openRequest } from '../cli/base-command.js';
import { renderStatus, statusLine } from '../cli/render-status.js';
import { KbError } from '../errors.js';
import { isUninitialized, readStatusOf, requireHealthy } from '../kb/status.js';

export default class StatusCommand extends KbCommand {
  static override summary = 'Show the state of the KB: edits, remote, lock, last sync, disk.';
  static override description = 'Takes no lock and asks no remote, unless --fetch is given.';
  static override examples = [
    '<%= config.bin %> status',
    '<%= config.bin %> status --check --quiet || alert "notes are stuck"',
    '<%= config.bin %> status --json',
  ];
  static override flags = {
    fetch: Flags.boolean({ summary: 'Ask the remote where the branch is now.' }),
    check: Flags.boolean({ summary: 'Exit with 10 if the KB is unhealthy.' }),
    porcelain: Flags.boolean({ summary: 'One line for prompts and scripts.' }),
  };

  async run(): Promise<object> {
    const { flags } = await this.parse(StatusCommand);
    const surroundings = this.start(flags);
    try {
      const status = await readStatusOf(surroundings, openRequest(flags), { fetch: flags.fetch });
      if (flags.check) requireHealthy(status);
      this.terminal.done();
      if (flags.porcelain) this.terminal.result(statusLine(status));
      else if (!flags.check || this.terminal.isInteractive) {
        for (const line of renderStatus(status, this.terminal.out, surroundings.clock.wall()))
          this.terminal.detail(line);
      }
      return status;
    } catch (error) {
      if (!flags.check || !isUninitialized(error)) throw error;
      throw new KbError('E_UNHEALTHY', error.message, {
        cause: error,
        hint: error.hint,
        details: { problems: [error.message], status: { initialized: false } },
      });
    }
  }
}
