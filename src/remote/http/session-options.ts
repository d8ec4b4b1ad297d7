import type { RemoteOptions } from '../open.js';
import type { HttpSettings } from '../settings.js';
import type { Preferences } from './preferences.js';

/** As for every remote, with the user's settings read. */
export interface SessionOptions extends Omit<RemoteOptions, 'settings'> {
  /** undefined: the user has set nothing that concerns http(s). */
  readonly settings?: HttpSettings | undefined;
}

/** What a session sends as `Authorization`, and what it hears about it. */
export interface Authenticator {
  authorization(): Promise<string | undefined>;
  /** @param challenges values of `WWW-Authenticate`. @returns whether there is something else to send */
  refused(challenges: readonly string[]): Promise<boolean>;
  accepted(): Promise<void>;
}

/** Where nobody has set anything. */
export const DEFAULT_PREFERENCES: Preferences = { headers: [], redirects: 'initial' };
