import { KbCommand, openRequest } from '../cli/base-command.js';
import { formatAge } from '../cli/format.js';
import { listBranches, type BranchInfo } from '../kb/branch.js';
import { openKb } from '../kb/open.js';
import { printable } from '../printable.js';

export default class Branch extends KbCommand {
  static override summary = 'List the branches, here and on the remote as last seen.';
  static override description =
    'Takes no lock and asks no remote. In a pipe each is a line of tab-separated fields: name, kind (local or remote), ' +
    'current or session, commit, upstream, ahead, behind, time of the last commit, its first line; what is not known is empty.';
  static override examples = ['<%= config.bin %> branch', '<%= config.bin %> branch --json'];
  static override flags = {};

  async run(): Promise<object> {
    const { flags } = await this.parse(Branch);
    const surroundings = this.start(flags);
    const list = listBranches(await openKb(surroundings, openRequest(flags)));
    this.terminal.done();
    if (!this.terminal.isInteractive) for (const branch of list.branches) this.terminal.result(fields(branch));
    else this.render(list.branches, surroundings.clock.wall());
    return list;
  }

  private render(branches: readonly BranchInfo[], nowMs: number): void {
    const { out } = this.terminal;
    const width = Math.min(40, Math.max(...branches.map(({ name }) => printable(name).length)));
    for (const branch of branches) {
      const name = printable(branch.name).padEnd(width);
      const shown = branch.current
        ? out.green(`* ${name}`)
        : branch.kind === 'remote'
          ? out.dim(`  ${name}`)
          : `  ${name}`;
      const age = branch.committedAt === null ? '' : formatAge(nowMs - Date.parse(branch.committedAt));
      const facts = [
        branch.commit?.slice(0, 10) ?? 'no commit yet',
        distance(branch),
        age,
        printable(branch.subject ?? '', 60),
      ];
      const session = branch.session ? ' (session)' : '';
      this.terminal.result(`${shown}${session}  ${facts.filter((fact) => fact !== '').join('  ')}`);
    }
  }
}

function distance({ kind, upstream, ahead, behind }: BranchInfo): string {
  if (kind === 'remote') return '';
  if (upstream === null) return '[not on the remote]';
  const parts = [
    ...(ahead === null || ahead === 0 ? [] : [`ahead ${ahead}`]),
    ...(behind === null || behind === 0 ? [] : [`behind ${behind}`]),
  ];
  return `[${printable(upstream)}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}]`;
}

function fields(branch: BranchInfo): string {
  const { name, kind, current, session, commit, upstream, ahead, behind, committedAt, subject } = branch;
  const marks = [...(current ? ['current'] : []), ...(session ? ['session'] : [])].join(',');
  const all = [name, kind, marks, commit, upstream, ahead, behind, committedAt, subject];
  return all.map((field) => (field === null ? '' : printable(String(field)))).join('\t');
}
