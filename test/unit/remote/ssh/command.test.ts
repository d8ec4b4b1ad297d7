import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  probeLine,
  shellQuote,
  sshCommandLine,
  sshProgram,
  type SshVariant,
} from '../../../../src/remote/ssh/command.js';

const address = { user: 'ann', host: 'host', port: 2222, path: "/it's" };
const call = { address, service: 'git-upload-pack', batch: false } as const;

describe('sshProgram', () => {
  it.each([
    [{}, {}, 'ssh', 'ssh', 'ssh'],
    [{ GIT_SSH: '/opt/my ssh/ssh' }, {}, '/opt/my ssh/ssh', '/opt/my ssh/ssh', 'ssh'],
    [{ GIT_SSH: 'C:\\putty\\plink.EXE' }, {}, 'C:\\putty\\plink.EXE', 'C:\\putty\\plink.EXE', 'plink'],
    [{ GIT_SSH: 'wrapper' }, {}, 'wrapper', 'wrapper', 'auto'],
    [{ GIT_SSH: 'wrapper' }, { command: 'tortoiseplink' }, 'tortoiseplink', 'tortoiseplink', 'tortoiseplink'],
    [{ GIT_SSH_COMMAND: '/usr/bin/ssh', GIT_SSH: 'x' }, { command: 'y' }, '/usr/bin/ssh', '/usr/bin/ssh', 'ssh'],
    [{ GIT_SSH_COMMAND: 'ssh -i "a b"' }, {}, '/bin/sh', 'ssh', 'ssh'],
    [{ GIT_SSH_COMMAND: "'/opt/my ssh/plink' -x" }, {}, '/bin/sh', '/opt/my ssh/plink', 'plink'],
    [{ GIT_SSH_COMMAND: '' }, { command: 'ssh -v' }, '/bin/sh', 'ssh', 'ssh'],
    [{ GIT_SSH_COMMAND: 'exec wrap ssh' }, {}, '/bin/sh', 'exec', 'auto'],
    [{ GIT_SSH: 'wrapper', GIT_SSH_VARIANT: 'ssh' }, { variant: 'simple' }, 'wrapper', 'wrapper', 'ssh'],
    [{ GIT_SSH: 'ssh' }, { variant: 'simple' }, 'ssh', 'ssh', 'simple'],
    [{ GIT_SSH: 'ssh' }, { variant: 'auto' }, 'ssh', 'ssh', 'ssh'],
  ])('%j %j', (env, settings, program, name, variant) => {
    expect(sshProgram(env, settings)).toMatchObject({ front: { program }, name, variant });
  });

  it('knows no other variants', () => {
    expect(() => sshProgram({ GIT_SSH_VARIANT: 'telnet' }, {})).toThrow(/no ssh variant: "telnet"/);
  });

  it('gives a command line of the user to the shell, and its own arguments past it', () => {
    const { front } = sshProgram({ GIT_SSH_COMMAND: 'printf "%s|" a' }, {});
    const { args, program } = sshCommandLine(front, 'ssh', {}, { ...call, address: { host: '$HOME', path: '`id`' } });
    expect(spawnSync(program, args, { encoding: 'utf8' }).stdout).toBe("a|$HOME|git-upload-pack '`id`'|");
  });
});

describe('sshCommandLine', () => {
  const line = (variant: SshVariant, more: Partial<Parameters<typeof sshCommandLine>[3]> = {}): string[] => [
    ...sshCommandLine({ program: 'ssh', args: [] }, variant, {}, { ...call, ...more }).args,
  ];
  const command = "git-upload-pack '/it'\\''s'";

  it.each([
    ['ssh', {}, ['-p', '2222']],
    ['ssh', { batch: true }, ['-o', 'BatchMode=yes', '-p', '2222']],
    ['ssh', { protocolVersion: 2 as const }, ['-o', 'SendEnv=GIT_PROTOCOL', '-p', '2222']],
    ['plink', { protocolVersion: 2 as const }, ['-P', '2222']],
    ['plink', { batch: true }, ['-batch', '-P', '2222']],
    ['putty', {}, ['-P', '2222']],
    ['tortoiseplink', {}, ['-batch', '-P', '2222']],
  ] as const)('%s %j', (variant, more, options) => {
    expect(line(variant, more)).toEqual([...options, 'ann@host', command]);
  });

  it('a simple program gets host and command, and no port', () => {
    expect(line('simple', { address: { host: 'host', path: 'kb' }, batch: true })).toEqual([
      'host',
      "git-upload-pack 'kb'",
    ]);
    expect(() => line('simple')).toThrow(/takes no port/);
  });

  it("names the server's programs as the user's configuration does", () => {
    const settings = { uploadPack: '/opt/git/upload', receivePack: '/opt/git/receive' };
    const front = { program: 'ssh', args: [] };
    expect(sshCommandLine(front, 'ssh', settings, call).args.at(-1)).toBe("/opt/git/upload '/it'\\''s'");
    expect(sshCommandLine(front, 'ssh', settings, { ...call, service: 'git-receive-pack' }).args.at(-1)).toBe(
      "/opt/git/receive '/it'\\''s'",
    );
  });

  it('asks an unknown program as git does', () => {
    expect(probeLine({ program: 'x', args: ['-F', 'y'] }, address).args).toEqual([
      ...['-F', 'y', '-G', '-p', '2222', 'ann@host'],
    ]);
  });
});

describe('shellQuote', () => {
  it.each([
    ['a b', "'a b'"],
    ["it's", "'it'\\''s'"],
    ['wow!', "'wow'\\!''"],
  ])('%s', (text, quoted) => {
    expect(shellQuote(text)).toBe(quoted);
  });

  it('any text is one word for a shell, and that word', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 30, unit: 'grapheme' }), (text) => {
        fc.pre(!text.includes('\0'));
        const { stdout } = spawnSync('/bin/sh', ['-c', `printf '%s|' ${shellQuote(text)}`]);
        expect(stdout.toString()).toBe(`${text}|`);
      }),
      { numRuns: 50 },
    );
  });
});
