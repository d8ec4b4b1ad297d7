import { Config, Plugin, run, type Interfaces } from '@oclif/core';
import { fileURLToPath } from 'node:url';
import { nodeDisk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { printable } from '../printable.js';
import { asCliError } from './as-cli-error.js';
import { nearest } from './nearest.js';
import { renderError } from './render-error.js';
import { Terminal } from './terminal.js';

export interface StartOptions {
  /** Another folder of command classes than package.json names: bin/dev.js runs the sources. */
  readonly commands?: string;
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
 * Finds the command in the manifest, loads its one file and runs it. A command reports its own errors; what
 * is left for here is what happens before one runs (an unknown command, a broken installation).
 * @param root the package's folder, as a URL ending in `/`
 */
export async function start(root: URL, options: StartOptions = {}): Promise<void> {
  const argv = process.argv.slice(2);
  const load = await loadOptions(fileURLToPath(root), options);
  try {
    await run(argv, load);
  } catch (error) {
    const exitCode = exitCodeOfExit(error);
    process.exitCode = exitCode ?? report(await asKbError(error, argv, load), argv);
  }
}

async function loadOptions(root: string, options: StartOptions): Promise<Interfaces.LoadOptions & object> {
  const pjson = JSON.parse(nodeDisk.readFileSync(`${root}package.json`, 'utf8')) as Interfaces.PJSON;
  // Without these two oclif would read a plugin list from the user's data directory and run code from there.
  const common = { root, pjson, userPlugins: false, devPlugins: false, logger: silent };
  if (options.commands === undefined) return common;
  pjson.oclif.commands = { strategy: 'pattern', target: options.commands };
  const plugin = new Plugin({ isRoot: true, ignoreManifest: true, root, pjson });
  await plugin.load();
  return { ...common, plugins: new Map([[plugin.name, plugin]]) };
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
