import { Args, Flags } from '@oclif/core';
import { KbCommand, lockTimeoutFlag } from '../cli/base-command.js';
import { formatBytes, formatDuration, plural } from '../cli/format.js';
import { KbError } from '../errors.js';
import { cloneKb } from '../kb/clone.js';
import { printable } from '../printable.js';

export default class Clone extends KbCommand {
  static override summary = 'Clone a shared KB.';
  static override description =
    'Into a directory that is missing, empty, or a mount point. The same command again does nothing and exits 0. ' +
    'By default only the newest state is fetched; later commands deepen as they need.';
  static override examples = [
    '<%= config.bin %> clone https://github.com/example/notes',
    '<%= config.bin %> clone --name team --depth full https://git.example.org/team/notes.git ~/notes',
  ];
  static override args = {
    url: Args.string({ description: 'https://, http://, file://, or a path; default: KB_GIT_REPO_URL.' }),
    dir: Args.string({ description: "Where to; default: the repository's name." }),
  };
  static override flags = {
    depth: Flags.string({ summary: 'How many commits of history, or full.', helpValue: 'N|full', default: '1' }),
    branch: Flags.string({ summary: "Branch to check out; default: the remote's own." }),
    timeout: Flags.string({ summary: 'For the whole clone.', helpValue: 'DURATION', default: '300s' }),
    name: Flags.string({ summary: 'Register the KB under this name for --kb.' }),
    insecure: Flags.boolean({ summary: 'Send credentials over plain http to another machine.' }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Clone);
    const surroundings = this.start(flags);
    const directory = args.dir ?? flags.kb;
    const result = await cloneKb(surroundings, {
      depth: readDepth(flags.depth),
      timeout: flags.timeout,
      insecure: flags.insecure,
      ...(args.url === undefined ? {} : { url: args.url }),
      ...(directory === undefined ? {} : { directory }),
      ...(flags.branch === undefined ? {} : { branch: flags.branch }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags['lock-timeout'] === undefined ? {} : { lockTimeout: flags['lock-timeout'] }),
    });
    this.terminal.done();
    if (!this.terminal.isInteractive) this.terminal.result(result.dir);
    else if (result.status === 'already_cloned')
      this.terminal.result(`${printable(result.dir)} is a clone of it already`);
    else {
      const facts = `${plural(result.fileCount, 'file')}, ${formatBytes(result.bytes)}, ${formatDuration(result.durationMs)}`;
      this.terminal.result(
        `${this.terminal.out.green('✓')} cloned into ${this.terminal.out.bold(printable(result.dir))} on ${result.branch} (${facts})`,
      );
    }
    return result;
  }
}

function readDepth(text: string): number | 'full' {
  if (text === 'full') return 'full';
  const depth = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (depth > 0) return depth;
  throw new KbError('E_USAGE', `--depth must be a number from 1 or "full", not ${JSON.stringify(text)}`);
}
