import { posix } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { collectGarbageLater } from '../cli/background-gc.js';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { chosenEditor, openInEditor, type EditorCopy } from '../cli/editor.js';
import { formatDuration, plural } from '../cli/format.js';
import { tellMerged } from '../cli/tell-merged.js';
import { KbError } from '../errors.js';
import type { ConflictItem } from '../kb/conflicts/list.js';
import type { Choice } from '../kb/conflicts/record.js';
import { openKb } from '../kb/open.js';
import { resolveConflicts, type ResolveResult, type TextToResolve } from '../kb/resolve.js';
import type { Surroundings } from '../kb/surroundings.js';
import { printable } from '../printable.js';

const CHOICES = ['ours', 'theirs', 'both', 'edit'] as const satisfies readonly Choice[];

export default class Resolve extends KbCommand {
  static override summary = 'Decide a conflict, and share the outcome.';
  static override description =
    'One cycle: what was decided is merged with whatever others have written since, committed and pushed. Where a sync met several ' +
    'conflicts, each decision is kept, and all go out with the last one. Without PATH: the only conflict there is. On a terminal ' +
    'without a choice it asks. No version is lost: both stay in the history or under a name that is told.';
  static override examples = [
    '<%= config.bin %> resolve inbox/idea.md --both',
    '<%= config.bin %> resolve --all --theirs',
    'EDITOR=nano <%= config.bin %> resolve todo.md --edit',
  ];
  static override args = {
    path: Args.string({ description: "The file in conflict, from the KB's root; or the copy beside it." }),
  };
  static override flags = {
    ours: Flags.boolean({ summary: 'Take the version from here.', exclusive: ['theirs', 'both', 'edit'] }),
    theirs: Flags.boolean({ summary: 'Take the version of the others.', exclusive: ['ours', 'both', 'edit'] }),
    both: Flags.boolean({
      summary: 'Keep both: of a text what each side wrote, of anything else two files.',
      exclusive: ['ours', 'theirs', 'edit'],
    }),
    edit: Flags.boolean({
      summary: 'Put them together in your editor; nobody is kept waiting meanwhile.',
      exclusive: ['ours', 'theirs', 'both'],
    }),
    all: Flags.boolean({ summary: 'Decide every conflict the same way.' }),
    message: Flags.string({ char: 'm', summary: 'Message of the commit.' }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<ResolveResult> {
    const { args, flags } = await this.parse(Resolve);
    if (flags.all && args.path !== undefined)
      throw new KbError('E_USAGE', 'PATH and --all exclude each other', { hint: 'leave one of them out' });
    const surroundings: Surroundings = { ...this.start(flags), report: (event) => this.terminal.report(event) };
    const given = CHOICES.find((choice) => flags[choice]);
    if (given === 'edit') chosenEditor(surroundings.env);
    const kb = await openKb(surroundings, openRequest(flags));
    const copies: EditorCopy[] = [];
    try {
      const result = await resolveConflicts(kb, {
        ...(args.path === undefined ? {} : { path: args.path }),
        all: flags.all,
        choose: (conflict) => (given === undefined ? this.askFor(conflict) : Promise.resolve(given)),
        edit: async (text) => this.openText(surroundings, text, copies),
        ...(flags.message === undefined ? {} : { message: flags.message }),
      });
      for (const copy of copies) copy.discard();
      collectGarbageLater(kb);
      this.terminal.done();
      this.render(result);
      if (!this.jsonEnabled()) tellMerged(this.terminal, result.merged, flags.verbose);
      return result;
    } catch (error) {
      for (const { file } of copies) this.terminal.report({ kind: 'warning', text: `your text is in ${file}` });
      throw error;
    }
  }

  private async openText(
    surroundings: Surroundings,
    { path, data }: TextToResolve,
    copies: EditorCopy[],
  ): Promise<Buffer | undefined> {
    this.terminal.pause(); // a spinner would draw into the editor
    const copy = await openInEditor(surroundings, posix.basename(path), data);
    if (copy.data.equals(data)) {
      // Of a file that one side has deleted, saving it as it is means keeping it.
      copy.discard();
      return copy.data;
    }
    copies.push(copy);
    return copy.data;
  }

  /** @throws KbError E_USAGE where nobody can answer */
  private async askFor({ path, kind, reason }: ConflictItem): Promise<Choice> {
    const ask = this.asker();
    const answer =
      ask === undefined
        ? undefined
        : await ask({
            text: `${printable(path)} (${kind}, ${reason}): take [o]urs, [t]heirs, [b]oth, or [e]dit? `,
            hidden: false,
          });
    const typed = answer?.trim().toLowerCase() ?? '';
    const choice = typed === '' ? undefined : CHOICES.find((one) => one.startsWith(typed));
    if (choice !== undefined) return choice;
    throw new KbError('E_USAGE', `what is to become of ${printable(path)} was not said; nothing was changed`, {
      hint: 'say it with --ours, --theirs, --both or --edit',
    });
  }

  private render({ resolved, left, commit, branch, landed, durationMs }: ResolveResult): void {
    const { out } = this.terminal;
    for (const { path, choice } of resolved) this.terminal.detail(`${out.green('✓')} ${printable(path)}: ${choice}`);
    if (left.length > 0)
      this.terminal.line(
        'info',
        `${plural(left.length, 'conflict')} left: ${left.slice(0, 3).join(', ')}${landed ? '' : '; what was decided goes out with the last one'}`,
      );
    if (landed && commit !== null && branch !== null)
      this.terminal.detail(`landed on ${branch} as ${commit.slice(0, 10)}, ${formatDuration(durationMs)}`);
  }
}
