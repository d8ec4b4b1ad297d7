import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What a user gets: the tarball, what is in it, and that it installs and runs with nothing else. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: unknown;
  readonly optionalDependencies?: unknown;
  readonly peerDependencies?: unknown;
};

let directory: string;
let consumer: string;
let files: readonly string[];
let tarball: string;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'kb-package-')));
  const [packed] = JSON.parse(npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', directory)) as [
    { readonly filename: string; readonly files: readonly { readonly path: string }[] },
  ];
  files = packed.files.map((file) => file.path).sort();
  tarball = join(directory, packed.filename);
  consumer = join(directory, 'consumer');
  mkdirSync(consumer);
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  npm(consumer, 'install', '--offline', '--no-audit', '--no-fund', tarball);
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe('the tarball', () => {
  const ALLOWED = [
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|oclif\.manifest\.json)$/,
    /^bin\/(run\.js|package\.json)$/,
    /^dist\/(index|chunks\/[\w-]+)\.js$/,
    /^dist\/program\/(ask|kb|note)\.cjs$/,
    /^dist\/vendor\/(on-demand\/)?[\w-]+\.cjs$/,
    /^dist\/types\/[\w/-]+\.d\.ts$/,
    /^dist\/THIRD-PARTY-NOTICES\.txt$/,
  ];

  it('holds only what is meant to be in it', () => {
    expect(files.filter((file) => !ALLOWED.some((pattern) => pattern.test(file)))).toEqual([]);
  });

  it('holds all that is needed', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'bin/run.js',
        'dist/THIRD-PARTY-NOTICES.txt',
        'dist/program/ask.cjs',
        'dist/program/kb.cjs',
        'dist/program/note.cjs',
        'dist/index.js',
        'dist/types/index.d.ts',
        'oclif.manifest.json',
      ]),
    );
  });

  it('needs no other package and runs nothing when it is installed', () => {
    const { dependencies, optionalDependencies, peerDependencies } = pjson;
    expect({ dependencies, optionalDependencies, peerDependencies }).toEqual({});
    const atInstall = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare'];
    expect(Object.keys(pjson.scripts).filter((name) => atInstall.includes(name))).toEqual([]);
  });

  it('names no folder of the machine that built it', () => {
    const installed = join(consumer, 'node_modules', pjson.name);
    const home = dirname(root.replace(/\/$/, ''));
    const guilty = files.filter((file) => readFileSync(join(installed, file), 'utf8').includes(`${home}/`));
    expect(guilty).toEqual([]);
  });

  it('carries the licences of what is bundled', () => {
    const notices = readFileSync(join(consumer, 'node_modules', pjson.name, 'dist/THIRD-PARTY-NOTICES.txt'), 'utf8');
    expect(notices).toContain('@oclif/core');
    expect(notices).not.toContain('holds no licence text');
  });
});

describe('installed from the tarball', () => {
  it('answers --version', () => {
    const { stdout, stderr, status } = kb('--version');
    expect({ stdout: stdout.split(' ').slice(0, 2), stderr, status }).toEqual({
      stdout: ['kb', pjson.version],
      stderr: '',
      status: 0,
    });
    expect(JSON.parse(kb('--version', '--json').stdout)).toMatchObject({ ok: true, version: pjson.version });
  });

  it('answers --help with all commands', () => {
    const { stdout, status } = kb('--help');
    const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
      readonly commands: Readonly<Record<string, { readonly hidden?: boolean }>>;
    };
    const visible = Object.entries(manifest.commands).filter(([, command]) => command.hidden !== true);
    expect(status).toBe(0);
    for (const [name] of visible) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    for (const [name] of visible) expect(kb(name, '--help')).toMatchObject({ status: 0, stderr: '' });
  });

  it('refuses an unknown command with exit code 2 and a way out', () => {
    const { stdout, stderr, status } = kb('stauts');
    expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
    expect(stderr).toContain('did you mean: kb status');
    expect(JSON.parse(kb('stauts', '--json').stdout)).toMatchObject({ ok: false, error: { code: 'E_USAGE' } });
  });

  it('is a library that loads without touching the terminal', () => {
    const script = `import * as kb from '${pjson.name}'; process.stdout.write(Object.keys(kb).sort().join(' '));`;
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: consumer,
      encoding: 'utf8',
    });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout.split(' ')).toEqual(
      expect.arrayContaining(['KbError', 'addNote', 'openKb', 'readStatus', 'sync']),
    );
  });

  it('has types that a strict program compiles against', () => {
    writeFileSync(
      join(consumer, 'use.ts'),
      `import { addNote, KbError, openKb, surroundings, type NoteResult } from '${pjson.name}';
       export const code: string = new KbError('E_USAGE', 'x').code;
       export async function write(directory: string, request: Parameters<typeof addNote>[1]): Promise<NoteResult> {
         return await addNote(await openKb(surroundings(), { kb: directory }), request);
       }
       // @ts-expect-error -- an unknown code must not compile; it would if the types had become any
       new KbError('E_NONE', 'x');\n`,
    );
    const options = ['--noEmit', '--strict', '--module', 'NodeNext', '--target', 'ES2022', '--types', 'node'];
    const types = join(dirname(require.resolve('@types/node/package.json')), '..');
    const tsc = require.resolve('typescript/bin/tsc');
    const result = spawnSync(process.execPath, [tsc, ...options, '--typeRoots', types, 'use.ts'], {
      cwd: consumer,
      encoding: 'utf8',
    });
    expect(result).toMatchObject({ stdout: '', status: 0 });
  });
});

/** The installed program, found as a shell finds it. */
function kb(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(join(consumer, 'node_modules/.bin/kb'), args, {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: dirname(process.execPath), HOME: directory },
  });
  return { stdout, stderr, status };
}

function npm(cwd: string, ...args: string[]): string {
  // Without the settings that an `npm run` around this test passes down.
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
  const { stdout, stderr, status, error } = spawnSync('npm', args, {
    cwd,
    encoding: 'utf8',
    env: { ...Object.fromEntries(inherited), PATH, npm_config_update_notifier: 'false' },
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm ${args.join(' ')} failed: ${stderr}${stdout}`, { cause: error });
  return stdout;
}
