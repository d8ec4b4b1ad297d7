import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { entry, kb, kbEnvironment, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const has = (program: string): boolean => spawnSync(program, ['-c', 'exit 0'], { stdio: 'ignore' }).status === 0;

describe('kb completion', () => {
  const root = makeTemporaryDirectory();
  const bin = join(root, 'bin');
  let dir: string;

  beforeAll(async () => {
    mkdirSync(bin);
    writeFileSync(join(bin, 'kb'), `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`);
    chmodSync(join(bin, 'kb'), 0o755);
    await kbOk(root, ['init', 'team', '--remote', 'remote.git', '--name', 'team']);
    dir = join(root, 'team');
    await kbOk(dir, ['note', '--path', 'a.md', 'text']);
  });

  async function script(shell: string): Promise<string> {
    const file = join(root, `complete.${shell}`);
    writeFileSync(file, (await kbOk(root, ['completion', shell])).stdout);
    return file;
  }

  function run(program: string, args: readonly string[]): string[] {
    const env = kbEnvironment({ PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, LC_ALL: 'C.UTF-8' });
    const result = spawnSync(program, args, { cwd: dir, env, encoding: 'utf8' });
    expect(result.stderr).toBe('');
    return result.stdout.split('\n').filter((line) => line !== '');
  }

  /** What bash offers for the last of these words. */
  async function inBash(...words: string[]): Promise<string[]> {
    const file = await script('bash');
    const call = `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kb; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run('bash', ['--norc', '-c', call, file, ...words]);
  }

  describe.skipIf(!has('bash'))('in bash (needs bash)', () => {
    it.each<[string[], string[]]>([
      [['kb', 'st'], ['status']],
      [['kb', 'sync', '--on'], ['--on-conflict']],
      [
        ['kb', 'sync', '--on-conflict', ''],
        ['fail', 'copy', 'ours', 'theirs'],
      ],
      [['kb', 'sync', '--on-conflict', '=', 'f'], ['fail']],
      [
        ['kb', 'sync', '--on-conflict', '='],
        ['fail', 'copy', 'ours', 'theirs'],
      ],
      [
        ['kb', 'sync', '--no-c'],
        ['--no-color', '--no-commit'],
      ],
      [['kb', 'note', '--kb', 't'], ['team']],
      [['kb', 'switch', 'm'], ['main']],
      [['kb', 'help', 'exit'], ['exit-codes']],
      [['kb', 'help', 'unl'], ['unlock']],
      [['kb', 'run', '--', 'prin'], ['printf']],
      [['kb', 'run', '--', 'echo', '--on'], []],
      [['kb', 'note', '--append', 'a'], []],
    ])('%j', async (words, offered) => {
      const told = [...new Set(await inBash(...words))];
      expect(offered.length === 1 ? told.filter((word) => offered.includes(word)) : told).toEqual(offered);
    });

    it.skipIf(!nativeGit.available)('runs nothing that a branch is called (needs native git)', async () => {
      const name = ['$(touch$', '{IFS}hacked)'].join('');
      const branch = `refs/heads/${name}`;
      git(dir, ['update-ref', branch, 'HEAD']);
      git(dir, ['update-ref', 'refs/heads/mine', 'HEAD']);
      expect((await kbOk(dir, ['branch'])).stdout).toContain(name);
      expect((await inBash('kb', 'switch', '')).sort()).toEqual(expect.arrayContaining(['main', 'mine']) as string[]);
      expect(existsSync(join(dir, 'hacked'))).toBe(false);
      git(dir, ['update-ref', '-d', branch]);
    });
  });

  it.skipIf(!has('zsh'))('in zsh, by the functions of bash (needs zsh)', async () => {
    const file = await script('zsh');
    const call = `source $0; emulate -L sh; setopt kshglob noshglob braceexpand ksharrays; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kb; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const inZsh = (...words: string[]): string[] => run('zsh', ['-f', '-c', call, file, ...words]);
    // zsh itself leaves out those that begin otherwise.
    expect(inZsh('kb', 'st')).toContain('status');
    expect(inZsh('kb', 'sync', '--on-conflict', '')).toEqual(['fail', 'copy', 'ours', 'theirs']);
  });

  it.skipIf(!has('fish'))('in fish (needs fish)', async () => {
    const file = await script('fish');
    const inFish = (line: string): string[] =>
      run('fish', ['--no-config', '-c', `set -g fish_complete_path; source ${file}; complete -C '${line}'`]).map(
        (found) => found.split('\t')[0] ?? '',
      );
    expect(inFish('kb st')).toEqual(['status']);
    expect(inFish('kb sync --on-conflict ').sort()).toEqual(['copy', 'fail', 'ours', 'theirs']);
    expect(inFish('kb note --kb t')).toContain('team');
    expect(inFish('kb switch m')).toContain('main');
  });

  it('takes the shell from SHELL, and asks for it where that is another', async () => {
    const bash = await kbOk(root, ['completion', 'bash']);
    expect((await kbOk(root, ['completion'], { env: { SHELL: '/usr/local/bin/bash' } })).stdout).toBe(bash.stdout);
    expect((await kb(root, ['completion'], { env: { SHELL: '/bin/ksh' } })).code).toBe(2);
    expect((await kbOk(root, ['completion', 'fish', '--json'])).json()).toMatchObject({ ok: true, shell: 'fish' });
  });
});
