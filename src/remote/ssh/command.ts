import { basename } from 'node:path';
import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';
import { destinationOf, type SshAddress } from './address.js';

/** What git's configuration of the user says about ssh; the KB's content says nothing here. */
export interface SshSettings {
  /** `core.sshCommand`: a command line for the shell. */
  readonly command?: string | undefined;
  /** `ssh.variant` */
  readonly variant?: string | undefined;
  /** `remote.<name>.uploadpack` and `receivepack`: the programs on the server. */
  readonly uploadPack?: string | undefined;
  readonly receivePack?: string | undefined;
}

/** How a program in the place of ssh takes its arguments (git-config(1), "ssh.variant"). */
export type SshVariant = 'ssh' | 'plink' | 'putty' | 'tortoiseplink' | 'simple';

/** A program and its arguments, to be started without a shell of kb's own. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}

/** What stands in front of the arguments. */
export interface SshProgram {
  readonly front: CommandLine;
  /** How a message names it. */
  readonly name: string;
  /** `auto`: its name tells nothing, and it has to be asked. */
  readonly variant: SshVariant | 'auto';
}

/** A command line with one of these needs the shell (run-command.c of git, prepare_shell_cmd). */
const NEEDS_SHELL = /[|&;<>()$`\\"' \t\n*?[#~=%]/;

/**
 * The program that is called as ssh, chosen as git does (git(1), "GIT_SSH_COMMAND"): `GIT_SSH_COMMAND`, then
 * `core.sshCommand`, both command lines for the shell; then `GIT_SSH`, the name of a program; else `ssh`.
 * @throws KbError E_USAGE for a variant that git does not know
 */
export function sshProgram(env: NodeJS.ProcessEnv, settings: SshSettings): SshProgram {
  const line = nonEmpty(env['GIT_SSH_COMMAND']) ?? nonEmpty(settings.command);
  const program = nonEmpty(env['GIT_SSH']) ?? 'ssh';
  const name = line === undefined ? program : (firstWord(line) ?? line);
  const variant = namedVariant(nonEmpty(env['GIT_SSH_VARIANT']) ?? nonEmpty(settings.variant)) ?? variantByName(name);
  if (line === undefined) return { front: { program, args: [] }, name, variant };
  if (!NEEDS_SHELL.test(line)) return { front: { program: line, args: [] }, name, variant };
  // The command line is the user's own; what kb adds reaches it as arguments that the shell does not read again.
  const shell = process.platform === 'win32' ? 'sh' : '/bin/sh';
  return { front: { program: shell, args: ['-c', `${line} "$@"`, line] }, name, variant };
}

export interface SshCall {
  readonly address: SshAddress;
  readonly service: 'git-upload-pack' | 'git-receive-pack' | 'git-lfs-authenticate';
  /** What follows the path. */
  readonly argument?: 'download' | 'upload';
  /** Ask the server for this version of the protocol, where ssh can pass it on. */
  readonly protocolVersion?: 2;
  /** Nobody is there to answer a question: ssh must fail instead of waiting for ever. */
  readonly batch: boolean;
}

/**
 * The whole command line (connect.c of git, fill_ssh_args).
 * @throws KbError E_USAGE when the program cannot be told what the address asks for
 */
export function sshCommandLine(
  front: CommandLine,
  variant: SshVariant,
  settings: SshSettings,
  call: SshCall,
): CommandLine {
  const { address, service, argument, protocolVersion, batch } = call;
  const options: string[] = [];
  if (variant === 'ssh') {
    if (protocolVersion !== undefined) options.push('-o', 'SendEnv=GIT_PROTOCOL');
    if (batch) options.push('-o', 'BatchMode=yes');
  }
  if (variant === 'tortoiseplink' || (batch && (variant === 'plink' || variant === 'putty'))) options.push('-batch');
  if (address.port !== undefined) {
    if (variant === 'simple') {
      throw new KbError('E_USAGE', 'the ssh program that is configured (ssh.variant simple) takes no port', {
        hint: 'leave the port out of the address, or name the program in GIT_SSH_VARIANT: ssh, plink, putty',
      });
    }
    options.push(variant === 'ssh' ? '-p' : '-P', String(address.port));
  }
  const programs = { 'git-upload-pack': settings.uploadPack, 'git-receive-pack': settings.receivePack };
  const remoteProgram = (service === 'git-lfs-authenticate' ? undefined : programs[service]) ?? service;
  const words = [remoteProgram, shellQuote(address.path), ...(argument === undefined ? [] : [argument])];
  return {
    program: front.program,
    args: [...front.args, ...options, destinationOf(address), words.join(' ')],
  };
}

/** Whether a program understands OpenSSH's options, asked as git asks it: with `-G`, which connects to nothing. */
export function probeLine(front: CommandLine, address: SshAddress): CommandLine {
  const port = address.port === undefined ? [] : ['-p', String(address.port)];
  return { program: front.program, args: [...front.args, '-G', ...port, destinationOf(address)] };
}

/** One word for a POSIX shell, exactly as git writes it: csh, too, then leaves a `!` alone (quote.c, sq_quote_buf). */
export function shellQuote(text: string): string {
  return `'${text.replace(/['!]/g, "'\\$&'")}'`;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

const VARIANTS: readonly (SshVariant | 'auto')[] = ['ssh', 'plink', 'putty', 'tortoiseplink', 'simple', 'auto'];

/** @returns undefined where it is to be told by the program's name */
function namedVariant(name: string | undefined): SshVariant | undefined {
  if (name === undefined) return undefined;
  const known = VARIANTS.find((variant) => variant === name.toLowerCase());
  if (known !== undefined) return known === 'auto' ? undefined : known;
  throw new KbError('E_USAGE', `no ssh variant: ${JSON.stringify(printable(name, 40))}`, {
    hint: 'set GIT_SSH_VARIANT or ssh.variant to auto, ssh, plink, putty, tortoiseplink or simple',
  });
}

function variantByName(program: string): SshVariant | 'auto' {
  switch (basename(program.replaceAll('\\', '/')).toLowerCase()) {
    case 'ssh':
    case 'ssh.exe':
      return 'ssh';
    case 'plink':
    case 'plink.exe':
      return 'plink';
    case 'tortoiseplink':
    case 'tortoiseplink.exe':
      return 'tortoiseplink';
    default:
      return 'auto';
  }
}

/** The program of a command line, quotes taken away; enough to recognise one, nothing is started by it. */
function firstWord(line: string): string | undefined {
  const word = /^\s*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+)/s.exec(line)?.[1];
  return word?.replace(
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs,
    (_, single?: string, double?: string, one?: string) => single ?? double?.replace(/\\(.)/gs, '$1') ?? one ?? '',
  );
}
