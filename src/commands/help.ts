import { Args, loadHelpClass } from '@oclif/core';
import { KbCommand } from '../cli/base-command.js';
import { findTopic, TOPICS } from '../cli/help-topics.js';

export default class HelpCommand extends KbCommand {
  static override summary = 'Show help for a command or a topic.';
  static override description = `Topics: ${TOPICS.map(({ name }) => name).join(', ')}.`;
  static override examples = ['<%= config.bin %> help note', '<%= config.bin %> help exit-codes'];
  static needsLoadedConfig = true;
  static override args = { about: Args.string({ description: 'A command or a topic.' }) };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(HelpCommand);
    this.start(flags);
    const topic = args.about === undefined ? undefined : findTopic(args.about);
    if (topic !== undefined) {
      const lines = topic.lines();
      for (const line of lines) this.terminal.result(line);
      return { topic: topic.name, text: lines.join('\n') };
    }
    const HelpClass = await loadHelpClass(this.config);
    if (!this.jsonEnabled())
      await new HelpClass(this.config, this.config.pjson.oclif.helpOptions).showHelp(
        args.about === undefined ? [] : [args.about],
      );
    return { commands: this.config.commandIDs, topics: TOPICS.map(({ name }) => name) };
  }
}
