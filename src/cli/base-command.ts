import { Command, Flags, type Interfaces } from '@oclif/core';
import { programDisk } from '../disk/disk.js';
import { isKbError } from '../errors.js';
import { printable } from '../printable.js';
import { surroundings, type Ask, type Surroundings } from '../kb/surroundings.js';
import type { OpenRequest } from '../kb/ground.js';
import { asCliError } from './as-cli-error.js';
import { renderError } from './render-error.js';
import { abortOnSignals } from './signals.js';
import { mayAsk } from './may-ask.js';
import { Terminal } from './terminal.js';

export type GlobalFlags = Interfaces.InferredFlags<typeof KbCommand.baseFlags>;

/** The flag of every command that takes the lock. */
export const lockTimeoutFlag = Flags.string({
  summary: 'How long to wait for the lock, such as 30s or 5m.',
  helpValue: 'DURATION',
});

/** Of the commands that can work for a session beside the branch that is checked out. */
export const sessionBranchFlag = Flags.string({
  summary:
    'Branch to work on; made from the default branch, and on the remote with the first edit (or SESSION_BRANCH).',
  helpValue: 'NAME',
});

/**
 * What all commands share: the global flags, one JSON object under `--json`, errors as message and hint
 * with the contract's exit code, signals that stop the work in an orderly way.
 */
export abstract class KbCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    kb: Flags.string({
      summary: 'The KB: its directory, or a name from `kb list`.',
      helpValue: 'DIR|NAME',
      helpGroup: 'GLOBAL',
    }),
    quiet: Flags.boolean({ summary: 'Print results and errors only.', helpGroup: 'GLOBAL', exclusive: ['verbose'] }),
    verbose: Flags.boolean({ summary: 'Print each step.', helpGroup: 'GLOBAL' }),
    color: Flags.boolean({ summary: 'Colour under a terminal.', allowNo: true, default: true, helpGroup: 'GLOBAL' }),
  };

  protected terminal = this.makeTerminal({ quiet: false, verbose: false, color: true });
  private signal: AbortSignal | undefined;

  /** Called by a command as soon as its flags are known. */
  protected start(flags: Pick<GlobalFlags, 'quiet' | 'verbose' | 'color'>): Surroundings {
    this.terminal = this.makeTerminal(flags);
    this.signal = abortOnSignals();
    const terminal = this.terminal;
    return surroundings({
      disk: programDisk,
      signal: this.signal,
      report: (event) => terminal.report(event),
      ask: this.asker(),
    });
  }

  override toSuccessJson(result: unknown): unknown {
    const warnings = this.terminal.warnings.map((text) => printable(text, 4000));
    return { ok: true, ...(result as object), ...(warnings.length === 0 ? {} : { warnings }) };
  }

  override logJson(value: unknown): void {
    this.terminal.done();
    this.terminal.object(value);
  }

  override async catch(error: Error): Promise<void> {
    this.terminal.done();
    // What was interrupted fails in many ways; the signal is the reason for all of them.
    const reason: unknown = this.signal?.reason;
    const isSaidBetter = isKbError(error, 'E_LOCK_LOST') || (isKbError(reason) && isKbError(error, reason.code));
    const known = isKbError(reason) && !isSaidBetter ? reason : asCliError(error);
    process.exitCode = known.exitCode;
    if (this.jsonEnabled()) this.terminal.object(renderError.asObject(known));
    else renderError.onTerminal(known, this.terminal, process.env);
    return Promise.resolve();
  }

  override async finally(): Promise<void> {
    this.terminal.done();
    return Promise.resolve();
  }

  /** Nobody is asked where nobody can answer, nor where the caller is a program. */
  protected asker(): Ask | undefined {
    if (this.jsonEnabled() || !mayAsk(process)) return undefined;
    return async (question) => {
      this.terminal.pause();
      return (await import('./ask.js')).ask(question, this.signal);
    };
  }

  private makeTerminal(flags: Pick<GlobalFlags, 'quiet' | 'verbose' | 'color'>): Terminal {
    const { stdout, stderr, env } = process;
    return new Terminal({
      stdout,
      stderr,
      env,
      quiet: flags.quiet,
      verbose: flags.verbose,
      color: flags.color,
      json: this.jsonEnabled(),
    });
  }
}

/** The settings' flags that a command line can carry, without those that were not given. */
export function openRequest(flags: {
  kb?: string | undefined;
  'lock-timeout'?: string | undefined;
  author?: string | undefined;
  'session-branch'?: string | undefined;
}): OpenRequest {
  return {
    ...(flags.kb === undefined ? {} : { kb: flags.kb }),
    flags: {
      lockTimeout: flags['lock-timeout'],
      author: flags.author,
      sessionBranch: flags['session-branch'],
    },
  };
}
