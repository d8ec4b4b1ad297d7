import { Args, Flags } from '@oclif/core';
import { KbCommand } from '../cli/base-command.js';
import { initKb } from '../kb/init.js';
import { printable } from '../printable.js';

export default class Init extends KbCommand {
  static override summary = 'Make a KB without any server.';
  static override description = 'Files that are there already stay, and become the first edits to sync.';
  static override examples = [
    '<%= config.bin %> init ~/notes --remote /srv/share/notes.git',
    '<%= config.bin %> init --name scratch',
  ];
  static override args = { dir: Args.string({ description: 'Where; default: the current directory.' }) };
  static override flags = {
    remote: Flags.string({
      summary: 'The remote to share; a path that does not exist is made a bare repository.',
      helpValue: 'PATH|URL',
    }),
    branch: Flags.string({ summary: 'Name of the first branch.', default: 'main' }),
    'ssh-key': Flags.string({
      summary: 'Private key for an ssh remote, also for later commands (core.sshCommand of the KB).',
      helpValue: 'FILE',
      dependsOn: ['remote'],
    }),
    'known-hosts': Flags.string({
      summary: 'Host keys to trust instead of those in ~/.ssh/known_hosts, also for later commands.',
      helpValue: 'FILE',
      dependsOn: ['remote'],
    }),
    name: Flags.string({ summary: 'Register the KB under this name for --kb.' }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Init);
    const surroundings = this.start(flags);
    const directory = args.dir ?? flags.kb;
    const result = await initKb(surroundings, {
      branch: flags.branch,
      ssh: {
        ...(flags['ssh-key'] === undefined ? {} : { key: flags['ssh-key'] }),
        ...(flags['known-hosts'] === undefined ? {} : { knownHosts: flags['known-hosts'] }),
      },
      ...(directory === undefined ? {} : { directory }),
      ...(flags.remote === undefined ? {} : { remote: flags.remote }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
    });
    this.terminal.done();
    if (!this.terminal.isInteractive) this.terminal.result(result.dir);
    else {
      const shared =
        result.remote === null
          ? 'without a remote'
          : `shared through ${printable(result.remote)}${result.createdRemote ? ' (made)' : ''}`;
      this.terminal.result(
        `${this.terminal.out.green('✓')} ${printable(result.dir)} is a KB on ${result.branch}, ${shared}`,
      );
    }
    return result;
  }
}
