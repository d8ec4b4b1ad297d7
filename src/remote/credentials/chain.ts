import type { Authenticator, SessionOptions } from '../http/session-options.js';
import type { RemoteUrl } from '../url.js';
import { assertMayCarryCredentials, isLoopback } from '../url.js';
import { isGitHub, isGitLab, kindOf, tokenUser } from './hosts.js';
import { basicAuthorization, cleanToken, type Found, type Source } from './source.js';

export interface ChainOptions extends SessionOptions {
  /** An `Authorization` that the user has configured by `http.extraHeader`. */
  readonly preset?: string | undefined;
}

interface Candidate {
  readonly source: string;
  readonly authorization: string;
  readonly found?: Found;
}

/**
 * The credentials for one remote, one source after the other: what a source holds is sent until the host refuses it
 * (401), then comes the next. What costs nothing to look at goes out with the first request; helpers, `~/.netrc`, a
 * GitHub App and the terminal are asked when the host has asked.
 *
 * Invariant: a source is asked only for the host that its secret belongs to, and nothing that was found is ever
 * stored, but by the user's own credential helpers what came from them or the terminal.
 */
export class CredentialChain implements Authenticator {
  /** Every source looked at, in order, as an E_AUTH names them: never a value. */
  readonly tried: string[] = [];
  readonly #refused: string[] = [];
  readonly #target: URL;
  readonly #sources: Source[];
  #current: Candidate | undefined;
  #isAccepted = false;
  #begun: Promise<void> | undefined;
  #hasLateSources = false;

  constructor(
    private readonly url: RemoteUrl,
    private readonly options: ChainOptions,
  ) {
    this.#target = new URL(url.href);
    this.#sources = this.#sourcesAtOnce();
  }

  /** The `Authorization` to send now; undefined: none (yet). @throws KbError E_AUTH when it would cross a network in the clear */
  async authorization(): Promise<string | undefined> {
    this.#begun ??= this.#begin();
    await this.#begun;
    return this.#current?.authorization;
  }

  /**
   * The host has answered 401.
   * @param challenges values of its `WWW-Authenticate`
   * @returns whether there is something else to send
   */
  async refused(challenges: readonly string[]): Promise<boolean> {
    const before = this.#current;
    this.#current = undefined;
    if (before !== undefined) {
      this.#refused.push(before.source);
      await before.found?.refused?.();
    }
    if (await this.#next(challenges)) return true;
    if (this.#hasLateSources) return false;
    this.#hasLateSources = true;
    await this.#addLateSources();
    return this.#next(challenges);
  }

  /** The host has let the credentials pass. */
  async accepted(): Promise<void> {
    if (this.#isAccepted || this.#current === undefined) return;
    this.#isAccepted = true;
    await this.#current.found?.accepted?.();
  }

  /** Every source that would be asked, in order, for who wants to know before anything is sent. */
  async allSources(): Promise<readonly Source[]> {
    if (!this.#hasLateSources) {
      this.#hasLateSources = true;
      await this.#addLateSources();
    }
    return this.#sources;
  }

  /** The part of an E_AUTH: what was sent, or where was looked in vain. */
  describe(): string {
    const looked = `looked at ${this.tried.join(', ')}`;
    if (this.#current !== undefined) {
      const before = this.#refused.length === 0 ? '' : ` after those from ${this.#refused.join(', ')} were refused`;
      return `credentials from ${this.#current.source} were sent${before}`;
    }
    if (this.#refused.length === 0) return `no credentials were found (${looked})`;
    return `credentials from ${this.#refused.join(', ')} were refused, and no others found (${looked})`;
  }

  async #begin(): Promise<void> {
    const { preset } = this.options;
    if (preset === undefined) {
      await this.#next([]);
      return;
    }
    this.tried.push('http.extraHeader');
    this.#current = { source: 'http.extraHeader', authorization: preset };
  }

  async #next(challenges: readonly string[]): Promise<boolean> {
    for (let source = this.#sources.shift(); source !== undefined; source = this.#sources.shift()) {
      const found = await source.find(challenges);
      this.tried.push(found !== undefined && 'nothing' in found ? `${source.name} (${found.nothing})` : source.name);
      if (found === undefined || 'nothing' in found) continue;
      assertMayCarryCredentials(this.#target, source.name, this.options.insecure ?? false);
      this.#current = { source: source.name, authorization: basicAuthorization(found.login), found };
      return true;
    }
    return false;
  }

  #sourcesAtOnce(): Source[] {
    const { env, settings } = this.options;
    const { credentials } = this.url;
    const own = settings?.host(this.#target.host);
    const user = this.#userName();
    const isTokenHost = this.#isTokenHost();
    const list: Source[] = [
      { name: 'the URL', find: () => Promise.resolve(credentials?.password ? { login: credentials } : undefined) },
      ...(isTokenHost ? [this.#variable('KB_GIT_AUTH_TOKEN', user)] : []),
    ];
    if (own !== undefined) {
      list.push({
        name: `hosts.${this.#target.host} of the user configuration`,
        find: async () => (await import('./host-token.js')).tokenOfHost(own, own.username ?? user, this.options),
      });
    }
    if (isGitHub(this.#target, env)) list.push(this.#variable('GITHUB_TOKEN', user), this.#variable('GH_TOKEN', user));
    if (isGitLab(this.#target, env))
      list.push(this.#variable('GITLAB_TOKEN', this.url.credentials?.username ?? tokenUser('gitlab')));
    const file = env['KB_GIT_PASSWORD_FILE'] ?? '';
    if (file !== '' && isTokenHost) {
      list.push({
        name: 'KB_GIT_PASSWORD_FILE',
        find: async () => (await import('./host-token.js')).tokenOfFile(file, user, this.options),
      });
    }
    // `https://TOKEN@host`: the name itself is the secret; with anything else the name goes along with that.
    if (credentials?.password === '')
      list.push({ name: 'the URL', find: () => Promise.resolve({ login: credentials }) });
    return list;
  }

  async #addLateSources(): Promise<void> {
    const { insecure = false } = this.options;
    if (this.#target.protocol === 'http:' && !insecure && !isLoopback(this.#target)) {
      this.tried.push('no more, for plain http would carry them in the clear: use https://, or --insecure');
      return;
    }
    const { lateSources } = await import('./late-sources.js');
    this.#sources.push(...lateSources(this.url, this.options));
  }

  #variable(name: string, username: string): Source {
    return {
      name,
      find: () => {
        const token = cleanToken(this.options.env[name] ?? '', name);
        return Promise.resolve(token === '' ? undefined : { login: { username, password: token } });
      },
    };
  }

  /** Beside a token: from the URL, else as the user says, else what hosts of that kind want. */
  #userName(): string {
    const { env, settings } = this.options;
    const kind = settings?.host(this.#target.host)?.kind ?? kindOf(this.#target, env);
    const named = [this.url.credentials?.username, env['KB_GIT_USERNAME']?.trim()];
    if (kind === undefined || kind === 'github') named.push(env['GITHUB_USERNAME']?.trim());
    return named.find((name) => name !== undefined && name !== '') ?? tokenUser(kind);
  }

  /** Where the environment names the repository, its token is for that host and no other. */
  #isTokenHost(): boolean {
    const { tokenHost } = this.options;
    return tokenHost === undefined || tokenHost === this.#target.hostname;
  }
}
