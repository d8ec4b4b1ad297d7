import { Args, Flags } from '@oclif/core';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { tellMerged } from '../cli/tell-merged.js';
import { openKb } from '../kb/open.js';
import { listSaved, restoreSaved, type RestoreRequest, type RestoreResult } from '../kb/restore.js';
import { printable } from '../printable.js';

export default class Restore extends KbCommand {
  static override summary = 'Bring changes of a failed `kb run` back into the files.';
  static override description =
    'Without REF, lists what is saved. The changes are merged with what is in the files now and are left uncommitted: ' +
    'look at them, then commit them with `kb sync`. They stay saved.';
  static override examples = [
    '<%= config.bin %> restore',
    '<%= config.bin %> restore refs/kb/stash/2026-11-20T10-00-00-000Z-3f2a9c01',
  ];
  static override args = {
    ref: Args.string({ description: 'What to bring back, as listed.' }),
  };
  static override flags = {
    'on-conflict': Flags.option({
      options: ['fail', 'copy'] as const,
      default: 'fail' as const,
      summary: 'Where a file was changed since then in the same place: stop, or put the saved version beside it.',
    })(),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Restore);
    const kb = await openKb(this.start(flags), openRequest(flags));
    if (args.ref === undefined) return this.list(listSaved(kb));
    const request: RestoreRequest = { ref: args.ref, onConflict: flags['on-conflict'] };
    const result = await restoreSaved(kb, request);
    this.terminal.done();
    this.terminal.detail(describe(result));
    if (!this.jsonEnabled()) tellMerged(this.terminal, result.merged, flags.verbose);
    return result;
  }

  private list(saved: ReturnType<typeof listSaved>): object {
    this.terminal.done();
    for (const { ref, savedAt, reason } of saved) this.terminal.result(`${ref}\t${savedAt}\t${printable(reason)}`);
    if (saved.length === 0) this.terminal.detail('nothing is saved');
    return { saved };
  }
}

function describe({ changes, copies }: RestoreResult): string {
  const files = `${changes.length} ${changes.length === 1 ? 'file' : 'files'} brought back, not committed`;
  return copies.length === 0 ? files : `${files}; put beside: ${copies.map((path) => printable(path)).join(', ')}`;
}
