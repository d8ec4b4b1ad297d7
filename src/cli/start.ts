import { Config, run, type Command, type Interfaces } from '@oclif/core';
import { nodeDisk } from '../disk/disk.js';
import type { FirstQuestion } from '../kb/ask-ahead.js';
import { KbError } from '../errors.js';
import { printable } from '../printable.js';
import { runAfterResult } from './after-result.js';
import { asCliError } from './as-cli-error.js';
import { nearest } from '../nearest.js';
import { renderError } from './render-error.js';
import { Terminal } from './terminal.js';

/** Each command class by its name, imported when it is called for. */
export type CommandTable = Readonly<Record<string, () => Promise<{ readonly default: LoadedCommand }>>>;

/** A command that shows what oclif knows of all commands says so; all others start without that. */
type LoadedCommand = typeof Command & { readonly needsLoadedConfig?: boolean; question?: FirstQuestion | undefined };

/** oclif's options, with the package that kb was started from. */
type StartedFrom = Interfaces.Options & { readonly pjson: Interfaces.PJSON };

export interface StartOptions {
  readonly commands: CommandTable;
  /** What `kb note` asks first, asked by bin/run.js before this program was loaded. */
  readonly question?: FirstQuestion | undefined;
  /** oclif as it is published, from the sources: it insists on a configuration that was loaded. */
  readonly isUnbundled?: boolean;
}

/** oclif's own tracing loads the `debug` library and formats what nobody reads: off. */
const silent: Interfaces.Logger = {
  child: () => silent,
  debug: () => undefined,
  error: () => undefined,
  info: () => undefined,
  trace: () => undefined,
  warn: () => undefined,
  namespace: 'oclif',
};

/**
 * Runs the command that the arguments name. A command reports its own errors; what is left for here is what
 * happens before one runs (an unknown command, a broken installation).
 * @param root the package's folder, ending in `/`
 */
export async function start(root: string, options: StartOptions): Promise<void> {
  const argv = commandFirst(process.argv.slice(2));
  const load = loadOptions(root);
  process.once('beforeExit', () => (process.exitCode = report(endedInTheMiddle(), argv)));
  try {
    const [name = '', ...rest] = argv;
    const command = findCommand(options.commands, name);
    // Help, and finding out what an unknown word means, is oclif's: from its manifest, without any command.
    if (command === undefined || asksForHelp(rest)) await run(argv, load);
    else await runCommand(await command(), name, rest, load, options);
  } catch (error) {
    const exitCode = exitCodeOfExit(error);
    process.exitCode = exitCode ?? report(await asKbError(error, argv, load), argv);
  }
  endProcess();
}

/**
 * Node ends a process that has nothing left to wait for, with exit code 0, also in the middle of a command whose next
 * step then never comes. Invariant: 0 is said only by a command that came to its end, for 0 means landed.
 * (Broken by: test/integration/start.test.ts)
 */
function endedInTheMiddle(): KbError {
  return new KbError('E_INTERNAL', 'kb ended in the middle of the command: nothing was left that it waited for');
}

/**
 * Ends the process as soon as its output is out. What Node would do besides, taking the heap apart and waiting
 * for idle connections to close, takes 10 ms and more, and nobody gains by it.
 */
function endProcess(): void {
  process.stdout.write('', () => process.stderr.write('', () => void runAfterResult().finally(() => process.exit())));
}

/** `kb --kb DIR sync` is `kb sync --kb DIR`: oclif knows flags only behind the command. */
function commandFirst(argv: string[]): string[] {
  let at = 0;
  for (; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--kb') at += 1;
    else if (!/^--(kb=.*|quiet|verbose|json|(no-)?color)$/.test(word)) break;
  }
  const command = argv[at];
  if (at === 0 || command === undefined || command.startsWith('-')) return argv;
  return [command, ...argv.slice(0, at), ...argv.slice(at + 1)];
}

function findCommand(commands: CommandTable, name: string): CommandTable[string] | undefined {
  return Object.hasOwn(commands, name) ? commands[name] : undefined;
}

function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? undefined : end).some((word) => word === '--help' || word === '-h');
}

async function runCommand(
  { default: Class }: { readonly default: LoadedCommand },
  name: string,
  argv: string[],
  load: StartedFrom,
  { isUnbundled, question }: StartOptions,
): Promise<void> {
  Class.id = name;
  Class.question = question;
  const config =
    isUnbundled === true || Class.needsLoadedConfig === true ? await Config.load(load) : unloadedConfig(load);
  // The base class is abstract; what the table holds is not.
  await (Class as typeof Command & { run(argv: string[], config: Config): Promise<unknown> }).run(argv, config);
}

/**
 * oclif's configuration with no more than an ordinary command asks it for. Loading it whole (plugins, topics,
 * themes, cache folders, what shell this is) takes longer than all else that oclif does for a command.
 */
function unloadedConfig(load: StartedFrom): Config {
  const config = new Config(load);
  const { name, version, oclif } = load.pjson;
  return Object.assign(config, {
    name,
    version,
    bin: oclif.bin ?? name,
    logger: silent, // it looks for it in whatever configuration a command is run with
    userAgent: `${name}/${version}`,
    runHook: () => Promise.resolve({ successes: [], failures: [] }), // kb has no plugins that could listen
  });
}

function loadOptions(root: string): StartedFrom {
  const pjson = JSON.parse(nodeDisk.readFileSync(`${root}package.json`, 'utf8')) as Interfaces.PJSON;
  // Without these two oclif would read a plugin list from the user's data directory and run code from there.
  return { root, pjson, userPlugins: false, devPlugins: false, logger: silent };
}

/** `this.exit(n)` of oclif is an exception that only carries the exit code. */
function exitCodeOfExit(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'EEXIT') return undefined;
  return (error as Error & { oclif?: { exit?: number } }).oclif?.exit ?? 0;
}

async function asKbError(error: unknown, argv: readonly string[], load: Interfaces.LoadOptions): Promise<KbError> {
  const name = printable(argv[0] ?? '', 80);
  if (error instanceof Error && /^command .* not found$/.test(error.message)) {
    const { commandIDs } = await Config.load(load);
    const guess = nearest(name, commandIDs);
    return new KbError('E_USAGE', name.startsWith('-') ? `unknown flag: ${name}` : `unknown command: ${name}`, {
      hint: guess === undefined ? 'see all commands with: kb --help' : `did you mean: kb ${guess}`,
    });
  }
  if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') {
    return new KbError('E_INTERNAL', `a file of kb's own is missing: ${error.message}`, {
      hint: 'install kb again: npm install --global @kb-cli/kb',
      cause: error,
    });
  }
  return asCliError(error);
}

function report(error: KbError, argv: readonly string[]): number {
  const { stdout, stderr, env } = process;
  const [json, color] = [argv.includes('--json'), !argv.includes('--no-color')];
  const terminal = new Terminal({ stdout, stderr, env, quiet: false, verbose: false, color, json });
  if (json) terminal.object(renderError.asObject(error));
  else renderError.onTerminal(error, terminal, env);
  return error.exitCode;
}
