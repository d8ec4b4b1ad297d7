import { KbCommand, openRequest } from '../cli/base-command.js';
import { renderConflicts } from '../cli/render-conflicts.js';
import { listConflicts, type ConflictsResult } from '../kb/conflicts/list.js';
import { openKb } from '../kb/open.js';

export default class Conflicts extends KbCommand {
  static override summary = 'List what waits for a person to decide, and where both versions are.';
  static override description =
    'Local work and edits that overlap with what others wrote, files beside which a sync has put the other version, and files ' +
    "that native git's own merge has left unmerged. Takes no lock and changes nothing. Each version has a name that " +
    '`git show` takes too.';
  static override examples = ['<%= config.bin %> conflicts', '<%= config.bin %> conflicts --json'];

  async run(): Promise<ConflictsResult> {
    const { flags } = await this.parse(Conflicts);
    const surroundings = this.start(flags);
    const result = await listConflicts(await openKb(surroundings, openRequest(flags)));
    this.terminal.done();
    const { out, isInteractive } = this.terminal;
    if (!isInteractive) for (const line of renderConflicts.inPipe(result)) this.terminal.result(line);
    else if (result.conflicts.length === 0) this.terminal.detail('no conflicts');
    else
      for (const line of renderConflicts.onTerminal(result, out, surroundings.clock.wall())) this.terminal.result(line);
    return result;
  }
}
