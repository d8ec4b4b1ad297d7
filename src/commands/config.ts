import { KbCommand, openRequest } from '../cli/base-command.js';
import { readEffectiveSettings } from '../kb/effective-settings.js';
import { printable } from '../printable.js';

export default class ConfigCommand extends KbCommand {
  static override summary = 'Print every setting in effect, and where it comes from.';
  static override description = 'Secrets are masked. Outside a KB, the settings that hold everywhere.';
  static override examples = ['<%= config.bin %> config', '<%= config.bin %> config --json'];

  async run(): Promise<object> {
    const { flags } = await this.parse(ConfigCommand);
    const settings = await readEffectiveSettings(this.start(flags), openRequest(flags));
    this.terminal.done();
    const width = Math.max(...settings.map(({ key }) => key.length)) + 2;
    for (const { key, value, source } of settings) {
      const shown = printable(String(value));
      this.terminal.result(
        this.terminal.isInteractive
          ? `${key.padEnd(width)}${shown}  ${this.terminal.out.dim(printable(source))}`
          : `${key}\t${shown}\t${printable(source)}`,
      );
    }
    return { settings };
  }
}
