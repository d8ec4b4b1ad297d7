import { basename } from 'node:path';
import { Args, type Command } from '@oclif/core';
import { KbCommand } from '../cli/base-command.js';
import { completionScript, SHELLS, type CompletedCommand, type CompletedFlag } from '../cli/completion.js';
import { TOPICS } from '../cli/help-topics.js';
import { KbError } from '../errors.js';

export default class Completion extends KbCommand {
  static override summary = 'Print a script that completes kb in your shell.';
  static override description =
    'It completes commands, flags, their values, and the names of KBs and branches. bash: add `source <(kb completion ' +
    'bash)` to ~/.bashrc; zsh: `source <(kb completion zsh)` to ~/.zshrc; fish: `kb completion fish | source` to ' +
    '~/.config/fish/config.fish.';
  static override examples = [
    'source <(<%= config.bin %> completion bash)',
    '<%= config.bin %> completion fish | source',
  ];
  static needsLoadedConfig = true;
  static override args = {
    shell: Args.string({ options: [...SHELLS], description: 'Default: the one that SHELL names.' }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Completion);
    this.start(flags);
    const shell = SHELLS.find((one) => one === (args.shell ?? basename(process.env['SHELL'] ?? '')));
    if (shell === undefined) throw unknownShell();
    const commands = this.config.commands.filter(({ hidden }) => !hidden).map(describe);
    const script = completionScript(
      shell,
      sorted(commands),
      TOPICS.map(({ name }) => name),
    );
    this.terminal.done();
    this.terminal.bytes(Buffer.from(script));
    return { shell, script };
  }
}

function unknownShell(): KbError {
  return new KbError('E_USAGE', 'which shell this is cannot be told from SHELL', {
    hint: 'name it: kb completion bash, zsh or fish',
  });
}

function sorted(commands: CompletedCommand[]): CompletedCommand[] {
  return commands.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function describe({ id, summary, flags }: Command.Loadable): CompletedCommand {
  return {
    name: id,
    summary: summary ?? '',
    flags: Object.values(flags).flatMap((flag): CompletedFlag[] => {
      const about = flag.summary ?? flag.description ?? '';
      const char = flag.char === undefined ? {} : { char: flag.char };
      if (flag.type === 'option') return [{ name: flag.name, ...char, summary: about, values: flag.options ?? [] }];
      const plain = { name: flag.name, ...char, summary: about };
      return flag.allowNo === true ? [plain, { name: `no-${flag.name}`, summary: about }] : [plain];
    }),
  };
}
