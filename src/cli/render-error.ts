import type { KbError } from '../errors.js';
import { printable } from '../printable.js';
import type { Terminal } from './terminal.js';

/** The two shapes of an error: the contract's JSON object, and two lines for a person. */
export const renderError = {
  asObject(error: KbError): object {
    const { code, message, hint, exitCode, retryable, details } = error;
    return {
      ok: false,
      error: { code, message: printable(message, 4000), hint: printable(hint, 4000), exitCode, retryable, details },
    };
  },

  onTerminal(error: KbError, terminal: Terminal, env: NodeJS.ProcessEnv): void {
    terminal.line('error', error.message, `${terminal.err.red('kb:')} `);
    terminal.line('error', error.hint);
    if (env['KB_LOG_LEVEL'] !== 'debug') return;
    for (let at: unknown = error; at instanceof Error; at = at.cause)
      (at.stack ?? at.message).split('\n').forEach((line) => terminal.line('error', line));
  },
};
