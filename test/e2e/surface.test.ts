import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shapeOf, type Shape } from '../support/json-shape.js';

/**
 * The public surface: commands, flags, arguments and the fields of `--json`. A difference in one of the two
 * snapshots is something that users and scripts notice; it belongs into the changelog.
 */
const root = fileURLToPath(new URL('../..', import.meta.url));

interface ManifestFlag {
  readonly type: 'boolean' | 'option';
  readonly char?: string;
  readonly allowNo?: boolean;
  readonly multiple?: boolean;
  readonly required?: boolean;
  readonly default?: unknown;
  readonly options?: readonly string[];
  readonly env?: string;
  readonly aliases?: readonly string[];
  readonly exclusive?: readonly string[];
  readonly dependsOn?: readonly string[];
  readonly hidden?: boolean;
  readonly summary?: string;
  readonly description?: string;
}

interface ManifestArgument {
  readonly summary?: string;
  readonly description?: string;
  readonly required?: boolean;
  readonly default?: unknown;
  readonly options?: readonly string[];
  readonly hidden?: boolean;
}

interface ManifestCommand {
  readonly aliases: readonly string[];
  readonly hidden?: boolean;
  readonly strict?: boolean;
  readonly summary?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly flags: Readonly<Record<string, ManifestFlag>>;
  readonly args: Readonly<Record<string, ManifestArgument>>;
}

const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
  readonly commands: Readonly<Record<string, ManifestCommand>>;
};

describe('commands, flags and arguments', () => {
  it('are those of the snapshot', async () => {
    const surface = mapValues(manifest.commands, ({ aliases, hidden, strict, flags, args }) => ({
      ...(aliases.length > 0 ? { aliases } : {}),
      ...(hidden === true ? { hidden } : {}),
      args: mapValues(args, ({ required, default: value, options, hidden: isHidden }) =>
        defined({ required, default: value, options, hidden: isHidden }),
      ),
      ...(strict === false ? { moreArgs: true } : {}),
      flags: mapValues(flags, describeFlag),
    }));
    await expect(`${JSON.stringify(surface, null, 2)}\n`).toMatchFileSnapshot('snapshots/commands.json');
  });

  const commands = Object.entries(manifest.commands).filter(([, command]) => command.hidden !== true);
  it.each(commands)('%s has a summary and two examples, each flag and argument a description', (_, command) => {
    expect(command.summary ?? command.description).toBeTruthy();
    expect(command.examples?.length ?? 0).toBeGreaterThanOrEqual(2);
    for (const [name, part] of [...Object.entries(command.flags), ...Object.entries(command.args)]) {
      expect([name, part.summary ?? part.description]).toEqual([name, expect.any(String)]);
    }
  });

  it.each(commands)('%s has --json, --help is on every command by itself', (_, command) => {
    expect(command.flags['json']).toMatchObject({ type: 'boolean' });
  });
});

describe('the fields of --json', () => {
  let directory: string;
  beforeAll(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'kb-surface-')));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  function kb(exitCode: number, args: readonly string[]): unknown {
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args, '--json'], {
      cwd: directory,
      encoding: 'utf8',
      // No git on PATH, nothing of this user.
      env: {
        PATH: '',
        HOME: directory,
        TMPDIR: tmpdir(),
        TZ: 'UTC',
        GIT_AUTHOR_NAME: 'Ann',
        GIT_AUTHOR_EMAIL: 'ann@example.com',
        GIT_COMMITTER_NAME: 'Ann',
        GIT_COMMITTER_EMAIL: 'ann@example.com',
      },
    });
    // The promise of `--json`: one object, alone on stdout.
    if (!stdout.startsWith('{') || !stdout.endsWith('}\n')) throw new Error(`no JSON object: ${stdout}\n${stderr}`);
    if (status !== exitCode) throw new Error(`kb ${args.join(' ')}: exit code ${String(status)}: ${stdout}`);
    return JSON.parse(stdout);
  }

  it('are those of the snapshot', async () => {
    const shapes: Record<string, Shape> = {};
    const run = (title: string, ...args: string[]): void => {
      shapes[title] = shapeOf(kb(0, args));
    };
    const refuse = (title: string, exitCode: number, ...args: string[]): void => {
      shapes[title] = shapeOf(kb(exitCode, args));
    };
    run('version', '--version');
    refuse('status, no KB', 8, 'status');
    run('init', 'init', 'one', '--remote', 'remote.git', '--name', 'one');
    run('init, again', 'init', 'one', '--remote', 'remote.git', '--name', 'one');
    run('clone', 'clone', 'remote.git', 'two');
    run('clone, again', 'clone', 'remote.git', 'two');
    run('note', 'note', '--kb', 'one', 'a note');
    run('clone, of a KB with notes', 'clone', 'remote.git', 'three');
    run('note, dry run', 'note', '--kb', 'one', '--dry-run', 'a note');
    run('note, not pushed', 'note', '--kb', 'one', '--no-push', 'a note');
    refuse('note, empty', 2, 'note', '--kb', 'one', '');
    run('sync, check', 'sync', '--kb', 'one', '--check');
    run('sync, pushes', 'sync', '--kb', 'one');
    run('sync, pulls', 'sync', '--kb', 'two');
    run('sync, nothing to do', 'sync', '--kb', 'two');
    run('status', 'status', '--kb', 'one');
    run('unlock, nothing to do', 'unlock', '--kb', 'one');
    run('list', 'list');
    run('config', 'config', '--kb', 'one');
    refuse('unknown flag', 2, 'status', '--frobnicate');
    refuse('unknown command', 2, 'frobnicate');
    await expect(`${JSON.stringify(shapes, null, 2)}\n`).toMatchFileSnapshot('snapshots/json.json');
  });
});

function describeFlag(flag: ManifestFlag): object {
  const { type, char, allowNo, multiple, required, default: value, options, env, hidden } = flag;
  const lists = { aliases: flag.aliases, exclusive: flag.exclusive, dependsOn: flag.dependsOn };
  return defined({
    type,
    char,
    allowNo: allowNo === true ? true : undefined,
    multiple: multiple === true ? true : undefined,
    required,
    default: value,
    options,
    env,
    hidden,
    ...lists,
  });
}

function defined(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function mapValues<In, Out>(record: Readonly<Record<string, In>>, map: (value: In) => Out): Record<string, Out> {
  const sorted = Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, value]) => [name, map(value)]));
}
