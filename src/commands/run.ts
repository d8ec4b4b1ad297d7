import { Flags } from '@oclif/core';
import { collectGarbageLater } from '../cli/background-gc.js';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { formatDuration, plural } from '../cli/format.js';
import { takeSignals } from '../cli/run-signals.js';
import { programDisk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { tellMerged } from '../cli/tell-merged.js';
import { openKb } from '../kb/open.js';
import { parseDuration, parseRateLimit, runCommand, type RunResult } from '../kb/run.js';
import { surroundings } from '../kb/surroundings.js';
import { topicsOnlyByEnvironment } from '../kb/run/working-folder.js';

const SENTENCES: Record<RunResult['result'], string> = {
  landed: 'landed',
  saved: 'saved as a local commit',
  nothing: 'nothing to commit',
};

export default class Run extends KbCommand {
  static override summary = 'Run a command in the KB, commit what it changed, and push.';
  static override description =
    'The lock is held from the pull to the push. What lay uncommitted before is left alone. If the command fails, what ' +
    'it changed is taken out of the files and saved under refs/kb/stash/, and kb ends with its exit code. The command ' +
    'has the terminal to itself: kb prints to stderr only, with --json its output goes to stderr too. ' +
    'kb called by the command works under the same lock (KB_PATH, KB_LOCK_TOKEN). ' +
    'Under a terminal and without --timeout it gets the keys for interrupt and suspend as without kb; ' +
    'otherwise signals to kb go to it and all that it started.';
  static override usage = 'run [FLAGS] -- COMMAND [ARGUMENT…]';
  static override examples = [
    '<%= config.bin %> run -- ./scripts/update-index.sh',
    '<%= config.bin %> run --timeout 10m --path "topics/**" --message "Nightly import" -- node import.js --all',
    '<%= config.bin %> run --topics-only --rate-limit 5/1h --json -- my-agent "tidy up the inbox"',
  ];
  static override flags = {
    cwd: Flags.string({ summary: 'Folder that the command starts in, relative to the root of the KB.' }),
    path: Flags.string({
      summary: 'Commit only what this selects, written as in a .gitignore; repeatable.',
      helpValue: 'PATTERN',
      multiple: true,
      multipleNonGreedy: true,
    }),
    message: Flags.string({ char: 'm', summary: 'Message of the commit.' }),
    author: Flags.string({ summary: 'Author of the commit.', helpValue: '"A <a@b>"' }),
    'on-failure': Flags.option({
      options: ['stash', 'discard', 'keep'] as const,
      default: 'stash' as const,
      summary:
        'What becomes of the changes of a command that fails: saved elsewhere, thrown away, or left in the files.',
    })(),
    timeout: Flags.string({
      summary: 'End the command after so long, with exit code 124.',
      helpValue: 'DURATION',
    }),
    push: Flags.boolean({ summary: 'Push; without it the changes stay a local commit.', allowNo: true, default: true }),
    'topics-only': Flags.boolean({
      summary: 'Start in topics/, and fail if a file outside of it is changed (or KB_TOPICS_ONLY).',
      allowNo: true,
    }),
    'rate-limit': Flags.string({
      summary: 'Start at most so many of your runs in this KB within a time, such as 5/1h; else exit code 6.',
      helpValue: 'N/DURATION',
    }),
    'session-branch': Flags.string({
      summary: 'Branch that the command is for; it must be checked out (or SESSION_BRANCH).',
      helpValue: 'NAME',
    }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const separator = this.argv.indexOf('--');
    const [program, ...args] = separator < 0 ? [] : this.argv.slice(separator + 1);
    if (program === undefined || program === '') {
      throw new KbError('E_USAGE', 'there is no command to run', {
        hint: 'write it after two dashes, for example: kb run -- ls -l',
      });
    }
    const { flags } = await this.parse(Run, this.argv.slice(0, separator));
    const timeoutMs = flags.timeout === undefined ? undefined : parseDuration(flags.timeout, '--timeout');
    const rateLimit = flags['rate-limit'] === undefined ? undefined : parseRateLimit(flags['rate-limit']);
    this.start(flags);
    const foreground = process.stdin.isTTY === true && timeoutMs === undefined;
    const { stop, kill, onChild } = takeSignals(foreground);
    const world = surroundings({
      disk: programDisk,
      signal: stop,
      report: (event) => this.terminal.report(event),
      ask: this.asker(),
    });
    const kb = await openKb(world, openRequest(flags));
    const result = await runCommand(kb, {
      command: [program, ...args],
      push: flags.push,
      onFailure: flags['on-failure'],
      topicsOnly: Object.hasOwn(flags, 'topics-only') ? flags['topics-only'] : topicsOnlyByEnvironment(world.env),
      output: this.jsonEnabled() ? 'stderr' : 'inherit',
      foreground,
      kill,
      onChild: (runs) => {
        if (runs) this.terminal.done(); // what the command prints stands on lines of its own
        onChild(runs);
      },
      ...(flags.cwd === undefined ? {} : { cwd: flags.cwd }),
      ...(flags.path === undefined ? {} : { paths: flags.path }),
      ...(flags.message === undefined ? {} : { message: flags.message }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(rateLimit === undefined ? {} : { rateLimit }),
    });
    collectGarbageLater(kb);
    this.terminal.done();
    if (!this.jsonEnabled()) this.terminal.line('info', this.describe(result), `${this.terminal.err.green('✓')} `);
    if (!this.jsonEnabled()) tellMerged(this.terminal, result.merged, flags.verbose);
    return result;
  }

  /** On stderr: stdout belongs to the command, whose output others read. */
  private describe(result: RunResult): string {
    const { changes, commit, branch } = result;
    const [added, deleted] = [sum(changes.map((one) => one.added)), sum(changes.map((one) => one.deleted))];
    const files = changes.length === 0 ? '' : `: ${plural(changes.length, 'file')}, +${added} −${deleted}`;
    const where = commit === null ? branch : `${branch} ${commit.slice(0, 10)}`;
    return `${where} ${SENTENCES[result.result]}${files} (${formatDuration(result.durationMs)})`;
  }
}

function sum(counts: readonly (number | null)[]): number {
  return counts.reduce<number>((total, count) => total + (count ?? 0), 0);
}
