import { Args, Flags } from '@oclif/core';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { plural } from '../cli/format.js';
import { tellMerged } from '../cli/tell-merged.js';
import { openKb } from '../kb/open.js';
import { switchBranch, type SwitchResult } from '../kb/switch.js';
import { printable } from '../printable.js';

export default class Switch extends KbCommand {
  static override summary = 'Check out another branch.';
  static override description =
    'A branch that only the remote has is fetched. Uncommitted work is saved first and comes along; where it does not fit ' +
    'the other branch, nothing is switched (exit code 5). Commits that were not pushed stay on their branch.';
  static override examples = [
    '<%= config.bin %> switch drafts',
    '<%= config.bin %> switch --create drafts',
    '<%= config.bin %> switch --save main',
  ];
  static override args = { branch: Args.string({ required: true, description: 'Its name.' }) };
  static override flags = {
    create: Flags.boolean({ char: 'c', summary: 'Make the branch, from where the KB is now.' }),
    save: Flags.boolean({ summary: 'Leave uncommitted work behind, saved; get it back with kb restore.' }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Switch);
    const kb = await openKb(this.start(flags), openRequest(flags));
    const uncommitted = flags.save ? ('save' as const) : ('bring' as const);
    const result = await switchBranch(kb, { branch: args.branch, create: flags.create, uncommitted });
    this.terminal.done();
    for (const line of describe(result)) this.terminal.detail(line);
    if (!this.jsonEnabled()) tellMerged(this.terminal, result.merged, flags.verbose);
    return result;
  }
}

function describe({ result, branch, previous, commit, carried, saved, unpushed }: SwitchResult): string[] {
  const name = printable(branch);
  const at = commit === null ? '' : ` at ${commit.slice(0, 10)}`;
  const what = result === 'already_there' ? `already on ${name}` : result === 'created' ? `made ${name}` : `on ${name}`;
  const before = printable(previous ?? '');
  return [
    `${what}${at}`,
    ...(carried.length === 0 ? [] : [`uncommitted, as before: ${plural(carried.length, 'file')}`]),
    ...(saved === null ? [] : [`left behind, saved; get it back with: kb restore ${saved}`]),
    ...(unpushed === null || unpushed === 0
      ? []
      : [
          `${plural(unpushed, 'commit')} of ${before} not on the remote yet; bring out with: kb sync --branch ${before}`,
        ]),
  ];
}
