import type { Disk } from '../disk/disk.js';
import type { Remote } from './remote.js';
import type { Ask, HttpSettings } from './settings.js';
import type { SshSettings } from './ssh/command.js';
import type { RemoteUrl } from './url.js';

/** Time as the remote needs it; tests give their own. */
export interface RemoteClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export interface RemoteOptions {
  readonly disk: Disk;
  readonly env: NodeJS.ProcessEnv;
  /** Milliseconds for everything that is done with this remote, counted from its opening. */
  readonly timeoutMs: number;
  /** Milliseconds without a byte in either direction before the remote counts as gone; default: `timeoutMs`. */
  readonly idleTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Allows credentials over plain http to hosts other than loopback. */
  readonly insecure?: boolean;
  readonly userAgent?: string;
  /** The user's home directory, for `~/.netrc` and the like. */
  readonly home?: string;
  /** The user's settings for http(s); gives undefined where there are none. */
  readonly settings?: () => Promise<HttpSettings | undefined>;
  /** The one host that `KB_GIT_AUTH_TOKEN` and `KB_GIT_PASSWORD_FILE` are for; undefined: that of the remote. */
  readonly tokenHost?: string | undefined;
  /** Asks the person at the terminal; undefined: there is none, and ssh, too, must not ask. */
  readonly ask?: Ask | undefined;
  /** Told of what the user should know, such as a certificate that is not checked. */
  readonly warn?: (text: string) => void;
  readonly clock?: RemoteClock;
  /** What the user's git configuration says about ssh; asked for only by an ssh remote. */
  readonly ssh?: () => SshSettings;
  /** Values of `safe.directory` in the user's own git configuration, in order; asked for only by a local remote of somebody else. */
  readonly safeDirectories?: () => readonly string[];
  /** Who takes the ref locks of a local remote, and who of those that left some has provably ended; asked for only by one. */
  readonly process?: () => { readonly word: string; isDead(word: string): boolean };
}

/**
 * Opens a remote without talking to it yet. Each kind is loaded only when it is used: a cycle over http
 * pays nothing for local remotes and the other way round.
 */
export async function openRemote(url: RemoteUrl, options: RemoteOptions): Promise<Remote> {
  if (url.kind === 'local') {
    const { openLocalRemote } = await import('./local/local-remote.js');
    return openLocalRemote(url.href, options);
  }
  if (url.ssh !== undefined) {
    const { openSshRemote } = await import('./ssh/ssh-remote.js');
    return openSshRemote(url, url.ssh, options);
  }
  const { openHttpRemote } = await import('./http/http-remote.js');
  return openHttpRemote(url, options);
}
