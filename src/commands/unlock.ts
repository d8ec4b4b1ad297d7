import { Flags } from '@oclif/core';
import { confirm } from '../cli/confirm.js';
import { KbCommand, openRequest } from '../cli/base-command.js';
import { KbError } from '../errors.js';
import { openKb } from '../kb/open.js';
import { unlock, type UnlockResult } from '../kb/unlock.js';
import { printable } from '../printable.js';

export default class Unlock extends KbCommand {
  static override summary = "Remove a lock whose holder is gone, and git's abandoned lock files.";
  static override description =
    'A lock whose holder is alive is left alone (exit 6). --force takes it away all the same: the former holder then stops ' +
    'with exit code 11 before it can push. Queued entries are never touched.';
  static override examples = ['<%= config.bin %> unlock', '<%= config.bin %> unlock --force --id 3f2a9c01'];
  static override flags = {
    force: Flags.boolean({ summary: 'Take the lock away from a holder that is alive.' }),
    id: Flags.string({
      summary: "The lock's id as `kb status` shows it; needed with --force in scripts.",
      helpValue: 'ID',
      dependsOn: ['force'],
    }),
  };

  async run(): Promise<object> {
    const { flags } = await this.parse(Unlock);
    const kb = await openKb(this.start(flags), openRequest(flags));
    if (flags.force && flags.id === undefined && !(await confirm('Take the lock away from its holder?'))) {
      throw new KbError('E_USAGE', 'the lock was left alone', {
        hint: 'name it: kb unlock --force --id ID (see: kb status)',
      });
    }
    const result = unlock(kb, { force: flags.force, ...(flags.id === undefined ? {} : { id: flags.id }) });
    this.terminal.done();
    this.terminal.detail(describe(result));
    return result;
  }
}

function describe({ removed, holder, gitLocks }: UnlockResult): string {
  const lock = !removed
    ? 'there was no lock'
    : holder === null
      ? 'removed a lock whose holder is unknown'
      : `removed the lock of ${printable(`${holder.user}@${holder.host} pid ${holder.pid} (${holder.command}) since ${holder.since}`)}`;
  return gitLocks.length === 0 ? lock : `${lock}; removed abandoned ${gitLocks.join(', ')}`;
}
