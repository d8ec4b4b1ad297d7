import { asStorageError } from '../disk/durable.js';
import { KbError, unforeseen } from '../errors.js';
import { printable } from '../printable.js';

/** Any error as one of the contract's: what oclif says of flags and arguments is E_USAGE, the rest of the unknown E_INTERNAL. */
export function asCliError(error: unknown): KbError {
  const known = asStorageError(error, 'do that');
  if (known instanceof KbError) return known;
  if (error instanceof Error && ('parse' in error || 'oclif' in error)) {
    const [message = error.message] = error.message.split('\nSee more help');
    return new KbError('E_USAGE', printable(message.trim().replace(/\s*\n\s*/g, '; '), 2000), { cause: error });
  }
  return unforeseen(error);
}
