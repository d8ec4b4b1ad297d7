import { Args } from '@oclif/core';
import { KbCommand, openRequest } from '../cli/base-command.js';
import { diagnose, requireNoProblem } from '../kb/doctor/doctor.js';
import { printable } from '../printable.js';

export default class Doctor extends KbCommand {
  static override summary = 'Look at all that kb needs, and say how to mend what is wrong.';
  static override description =
    'Configuration, permissions, disk, repository, lock, credentials (where they are and in which order they would be ' +
    'sent, never their values), whether the remote can be read and pushed to, and the clock. Changes nothing; works ' +
    'without a KB and without network, too. Exits with 10 if there is a problem; a warning is none.';
  static override examples = [
    '<%= config.bin %> doctor',
    '<%= config.bin %> doctor https://github.com/acme/notes.git',
    '<%= config.bin %> doctor --json',
  ];
  static override args = {
    url: Args.string({ description: 'The remote to look at; default: that of the KB, else KB_GIT_REPO_URL.' }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Doctor);
    const url = args.url === undefined ? {} : { url: args.url };
    const diagnosis = await diagnose(this.start(flags), { ...openRequest(flags), ...url });
    this.terminal.done();
    const { out } = this.terminal;
    const paints = { ok: out.green, warning: out.yellow, problem: out.red };
    for (const { check, status, text, mend } of diagnosis.checks) {
      this.terminal.detail(`${paints[status](status.padEnd(8))} ${check}: ${printable(text, 2000)}`);
      if (mend !== null) this.terminal.detail(`         ${out.dim(`next: ${printable(mend, 1000)}`)}`);
    }
    requireNoProblem(diagnosis);
    return diagnosis;
  }
}
