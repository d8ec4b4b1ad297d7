import { KbError, registerSecret } from '../../errors.js';

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** What a source holds for the remote. */
export interface Found {
  readonly login: Login;
  /** Told once when the host has accepted it. */
  readonly accepted?: () => Promise<void>;
  /** Told when the host has refused it. */
  readonly refused?: () => Promise<void>;
}

/** It holds nothing, for a reason that is worth telling. */
export interface Nothing {
  readonly nothing: string;
}

/** One place where credentials can be. */
export interface Source {
  /** As an E_AUTH names it. */
  readonly name: string;
  /**
   * Looks there.
   * @returns undefined when there is nothing for this remote
   * @throws KbError E_AUTH when what is there is unusable
   */
  find(challenges: readonly string[]): Promise<Found | Nothing | undefined>;
}

/** The header for a login, RFC 7617; from here on neither it nor the password can be printed. */
export function basicAuthorization({ username, password }: Login): string {
  const encoded = Buffer.from(`${username}:${password}`).toString('base64');
  registerSecret(password);
  registerSecret(encoded);
  return `Basic ${encoded}`;
}

/**
 * A token without the white space around it. With a line break inside it is two pasted together or a file read
 * wrongly: no server can accept it.
 * @throws KbError E_AUTH
 */
export function cleanToken(text: string, source: string): string {
  const token = text.trim();
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/[\u0000-\u001f\u007f]/.test(token))
    throw new KbError('E_AUTH', `${source} holds a line break or another control character`);
  registerSecret(token);
  return token;
}
