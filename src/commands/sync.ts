import { Flags } from '@oclif/core';
import { collectGarbageLater } from '../cli/background-gc.js';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { formatDuration, plural } from '../cli/format.js';
import { tellMerged } from '../cli/tell-merged.js';
import type { OpenRequest } from '../kb/ground.js';
import { openKb, type Kb } from '../kb/open.js';
import type { Surroundings } from '../kb/surroundings.js';
import { forecastSync, sync, type SyncForecast, type SyncResult, type SyncResultKind } from '../kb/sync.js';

const SENTENCES: Record<SyncResultKind, string> = {
  up_to_date: 'up to date',
  pulled: 'pulled',
  pushed: 'pushed',
  merged: 'merged and pushed',
  created_branch: 'pushed, and made the branch on the remote',
  local_only: 'committed locally only',
};

const FORECASTS: Record<SyncResultKind, string> = {
  up_to_date: 'nothing to do',
  pulled: 'would pull',
  pushed: 'would push',
  merged: 'would pull, bring local work on top, and push',
  created_branch: 'would make the branch on the remote',
  local_only: 'would commit locally; there is no remote to talk to',
};

export default class Sync extends KbCommand {
  static override summary = 'Commit local edits, bring in what others wrote, and push.';
  static override description =
    'One cycle under the lock. Local commits are replayed onto the remote branch, file by file merged three ways. ' +
    'What cannot be merged stops with exit code 5 and leaves branch and files as they were, or is settled as --on-conflict says.';
  static override examples = [
    '<%= config.bin %> sync',
    '<%= config.bin %> sync --check --json',
    '<%= config.bin %> sync --all --quiet',
    '*/5 * * * * <%= config.bin %> --kb ~/notes sync --quiet',
  ];
  static override flags = {
    'pull-only': Flags.boolean({
      summary: 'Bring in what others wrote; push and commit nothing.',
      exclusive: ['push-only', 'check'],
    }),
    'push-only': Flags.boolean({ summary: 'Push; stop if the remote has moved.', exclusive: ['check'] }),
    check: Flags.boolean({ summary: 'Say what a sync would do, without the lock; change nothing.' }),
    commit: Flags.boolean({
      summary: 'Commit local edits; without it they stop the sync with exit code 7.',
      allowNo: true,
      default: true,
    }),
    branch: Flags.string({
      summary:
        'Bring out and bring in the commits of this branch; of one that is not checked out, files are not touched.',
      helpValue: 'NAME',
      exclusive: ['check'],
    }),
    'on-conflict': Flags.option({
      options: ['fail', 'copy', 'ours', 'theirs'] as const,
      default: 'fail' as const,
      summary: 'What becomes of a file that cannot be merged: stop, keep both, or take one side.',
    })(),
    message: Flags.string({ char: 'm', summary: 'Message of the commit of local edits.' }),
    all: Flags.boolean({
      summary: 'Every KB that is registered (kb list), several at a time. One that fails keeps no other back.',
      exclusive: ['kb', 'branch'],
    }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { flags } = await this.parse(Sync);
    const work = async (kb: Kb): Promise<SyncResult | SyncForecast> => {
      if (flags.check) return forecastSync(kb);
      const result = await sync(kb, {
        direction: flags['pull-only'] ? 'pull' : flags['push-only'] ? 'push' : 'both',
        commit: flags.commit,
        onConflict: flags['on-conflict'],
        ...(flags.branch === undefined ? {} : { branch: flags.branch }),
        ...(flags.message === undefined ? {} : { message: flags.message }),
      });
      collectGarbageLater(kb);
      return result;
    };
    const surroundings = this.start(flags);
    const request = openRequest(flags);
    if (flags.all) return this.all(surroundings, request, work, flags.verbose);
    const result = await work(await openKb(surroundings, request));
    this.terminal.done();
    this.tell(result, flags.verbose);
    return result;
  }

  private async all(
    surroundings: Surroundings,
    { flags }: OpenRequest,
    work: (kb: Kb) => Promise<SyncResult | SyncForecast>,
    isVerbose: boolean,
  ): Promise<object> {
    const { asObject, failureOf, withAllKbs } = await import('../kb/sync-all.js');
    const all = await withAllKbs(surroundings, flags ?? {}, work);
    this.terminal.done();
    for (const one of all) if (one.ok) this.tell(one.outcome, isVerbose, `${one.name}: `);
    const failure = failureOf(all);
    if (failure !== undefined) throw failure;
    return { kbs: all.map(asObject) };
  }

  /** @param name of the KB, where there are several */
  private tell(result: SyncResult | SyncForecast, isVerbose: boolean, name = ''): void {
    this.terminal.detail(name + ('check' in result ? this.describeForecast(result) : this.describe(result)));
    if (!this.jsonEnabled() && 'merged' in result) tellMerged(this.terminal, result.merged, isVerbose);
  }

  private describe(result: SyncResult): string {
    const parts = [
      result.pulled > 0 ? `${plural(result.pulled, 'commit')} in` : '',
      result.pushed > 0 ? `${plural(result.pushed, 'commit')} out` : '',
      result.merged.length > 0 ? `${plural(result.merged.length, 'file')} merged` : '',
      result.conflicts.length > 0 ? `${plural(result.conflicts.length, 'conflict')} settled` : '',
      result.changes.length > 0 ? `${plural(result.changes.length, 'file')} changed here` : '',
    ].filter((part) => part !== '');
    const details = parts.length === 0 ? '' : `: ${parts.join(', ')}`;
    return `${this.terminal.out.green('✓')} ${result.branch} ${SENTENCES[result.result]}${details} (${formatDuration(result.durationMs)})`;
  }

  private describeForecast(forecast: SyncForecast): string {
    const edits = forecast.changes.length === 0 ? '' : `, ${plural(forecast.changes.length, 'local edit')} to commit`;
    return `${forecast.branch}: ${FORECASTS[forecast.result]}${edits}`;
  }
}
