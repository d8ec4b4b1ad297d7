import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { makeTemporaryDirectory } from './native-git.js';

const SSHD = '/usr/sbin/sshd';

/** Where OpenSSH's server, client or key generator is missing, the tests that need them are skipped. */
export const openSsh: { readonly available: boolean; readonly client: string } = {
  available: existsSync(SSHD) && find('ssh') !== undefined && find('ssh-keygen') !== undefined,
  client: find('ssh') ?? 'ssh',
};

function find(program: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path));
}

export interface SshdOptions {
  /** Lets `GIT_PROTOCOL` in, as the large hosts do; without it only protocol v0 is spoken. Default: true. */
  readonly acceptsProtocol?: boolean;
  /** A directory of programs that its commands find before those of the machine. */
  readonly programs?: string;
  /** More lines of its configuration. */
  readonly lines?: readonly string[];
}

/** A real sshd on 127.0.0.1 with its own host key, and a client's key that it lets in as the user of the tests. */
export interface Sshd {
  readonly port: number;
  readonly user: string;
  /** Holds all files of it. */
  readonly directory: string;
  /** The client's private key. */
  readonly key: string;
  readonly knownHosts: string;
  /** `ssh://user@127.0.0.1:PORT/ABSOLUTE/PATH` */
  url(path: string): string;
  /** A program in the place of `ssh` that knows key and host, and keeps no habits of the machine; each start is counted. */
  readonly program: string;
  /** The arguments of each start since the last `forget`. */
  starts(): string[];
  forget(): void;
  close(): Promise<void>;
}

/** Starts it; it ends with `close`. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const directory = makeTemporaryDirectory();
  const user = userInfo().username;
  const port = await freePort();
  const [hostKey, key] = [join(directory, 'host_key'), join(directory, 'id_ed25519')];
  for (const file of [hostKey, key]) makeKey(file);
  const authorized = join(directory, 'authorized_keys');
  writeFileSync(authorized, readFileSync(`${key}.pub`), { mode: 0o600 });
  const knownHosts = join(directory, 'known_hosts');
  const [type, data] = readFileSync(`${hostKey}.pub`, 'utf8').split(' ');
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${type ?? ''} ${data ?? ''}\n`);
  const configuration = join(directory, 'sshd_config');
  writeFileSync(
    configuration,
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorized}`,
      'PidFile none',
      'UsePAM no',
      'PermitRootLogin yes',
      'StrictModes no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'MaxStartups 100',
      // Of several such lines sshd heeds the first.
      `SetEnv GIT_CONFIG_NOSYSTEM=1${options.programs === undefined ? '' : ` "PATH=${options.programs}:${process.env['PATH'] ?? ''}"`}`,
      ...(options.acceptsProtocol === false ? [] : ['AcceptEnv GIT_PROTOCOL']),
      ...(options.lines ?? []),
      '',
    ].join('\n'),
  );
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const server = spawn(SSHD, ['-D', '-e', '-f', configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: string[] = [];
  server.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  await untilListening(port, server, said);
  const clientConfiguration = join(directory, 'ssh_config');
  writeFileSync(
    clientConfiguration,
    [
      'Host *',
      `  IdentityFile ${key}`,
      '  IdentitiesOnly yes',
      '  IdentityAgent none',
      `  UserKnownHostsFile ${knownHosts}`,
      '  GlobalKnownHostsFile none',
      '',
    ].join('\n'),
  );
  const log = join(directory, 'starts');
  const program = writeProgram(
    join(directory, 'bin'),
    'ssh',
    `printf '%s\\n' "$*" >>'${log}'\nexec '${openSsh.client}' -F '${clientConfiguration}' "$@"`,
  );
  return {
    port,
    user,
    directory,
    key,
    knownHosts,
    program,
    url: (path) => `ssh://${user}@127.0.0.1:${port}${path}`,
    starts: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []),
    forget: () => writeFileSync(log, ''),
    close: () => end(server),
  };
}

/** A key pair without a passphrase: FILE and FILE.pub. */
export function makeKey(file: string, comment = 'test'): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file]);
}

/** A shell script, executable. @returns its path */
export function writeProgram(directory: string, name: string, script: string): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening(port: number, server: ChildProcess, said: readonly string[]): Promise<void> {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`sshd ended with ${server.exitCode}: ${said.join('')}`);
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await ended;
}
