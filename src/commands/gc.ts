import { constants, setPriority } from 'node:os';
import { Flags } from '@oclif/core';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { formatBytes, formatDuration, plural } from '../cli/format.js';
import { collectGarbageIfDue } from '../kb/auto-gc.js';
import { collectGarbage, type GcResult } from '../kb/gc.js';
import { openKb } from '../kb/open.js';

export default class Gc extends KbCommand {
  static override summary = "Pack the KB's objects, and sweep what is abandoned.";
  static override description =
    'All objects that are in use go into one pack, with their deltas as they are. What nothing refers to is dropped ' +
    'when it is older than two weeks (git config gc.pruneExpire); temporary files of killed processes when they are ' +
    'older than a day; saved states under refs/kb/backup/ and refs/kb/stash/ after 90 days (git config kb.savedExpire). ' +
    'Others can go on working meanwhile.';
  static override examples = ['<%= config.bin %> gc', '<%= config.bin %> gc --dry-run --json'];
  static override flags = {
    'dry-run': Flags.boolean({ summary: 'Say what would be removed; change nothing.' }),
    'keep-saved': Flags.boolean({ summary: 'Leave saved states under refs/kb/, however old.' }),
    auto: Flags.boolean({
      summary: 'Only if there is much to pack (gc.auto, gc.autoPackLimit). kb does this by itself after an edit.',
      exclusive: ['dry-run', 'keep-saved'],
    }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { flags } = await this.parse(Gc);
    const kb = await openKb(this.start(flags), openRequest(flags));
    if (flags.auto) giveWay();
    const result = flags.auto
      ? await collectGarbageIfDue(kb)
      : await collectGarbage(kb, { dryRun: flags['dry-run'], keepSaved: flags['keep-saved'] });
    this.terminal.done();
    if (result === undefined) {
      this.terminal.detail('nothing to do');
      return { due: false };
    }
    this.render(result);
    return result;
  }

  private render({ dryRun, before, after, removed, prunedObjects, durationMs }: GcResult): void {
    const { temporary, backupRefs, stashRefs } = removed;
    const swept = [
      [prunedObjects, 'unused objects'],
      [temporary, 'temporary files'],
      [backupRefs, 'old backups'],
      [stashRefs, 'old stashes'],
    ]
      .filter(([count]) => count !== 0)
      .map(([count, what]) => `${count} ${what}`)
      .join(', ');
    const was = storage(before);
    if (dryRun) {
      this.terminal.result(`${was}; would remove ${swept === '' ? 'nothing' : swept}`);
      return;
    }
    const now = storage(after);
    const gone = swept === '' ? '' : `; removed ${swept}`;
    this.terminal.result(`${was} → ${now}${gone}, ${formatDuration(durationMs)}`);
  }
}

function storage({ packs, looseObjects, bytes }: GcResult['before']): string {
  return `${plural(packs, 'pack')} and ${plural(looseObjects, 'loose object')}, ${formatBytes(bytes)}`;
}

/** Whoever edits meanwhile comes first. */
function giveWay(): void {
  try {
    setPriority(constants.priority.PRIORITY_LOW);
  } catch {
    // a system that does not let it: it works all the same
  }
}
