import { monotonicMs } from '../../monotonic.js';
import { Agent, request as httpRequest } from 'node:http';
import type { ClientRequest, OutgoingHttpHeaders } from 'node:http';
import type { RemoteClock } from '../open.js';
import type { RequestBody } from '../protocol/request-body.js';
import type { Delivery, Reply } from './exchange.js';
import { KbError, isKbError, redact } from '../../errors.js';
import { printable } from '../../printable.js';
import { turns } from '../../git/steps.js';
import type { Preferences } from './preferences.js';
import type { Authenticator, SessionOptions } from './session-options.js';
import { discard, exchange } from './exchange.js';
import { DEFAULT_PREFERENCES, isPlain, type Transport } from './session-options.js';
import { rateLimitMs } from './rate-limit.js';

/** Silence that long means that the other side is gone: git's servers send a keep-alive every 5 s. */
const IDLE_MS = 120_000;
const CONNECT_MS = 30_000;
/** A `Retry-After` up to this is waited for here; a longer one is the caller's to decide on. */
const MAX_POLITE_WAIT_MS = 10_000;
const MAX_REDIRECTS = 5;

export interface SessionRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below the repository's URL, such as `git-upload-pack`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Makes the body; called again when the request has to be repeated. */
  readonly body?: () => RequestBody;
  /**
   * Sent again when a kept-alive connection turns out to have been closed meanwhile, and after a 503 that
   * names a time: only for requests that change nothing.
   */
  readonly repeatable: boolean;
  readonly delivery?: Delivery;
  /** It carries a secret of its own: no redirect is followed. */
  readonly staysHere?: boolean;
  /** A redirect is a reply like any other: it leads to something else than a repository, and the caller checks to what. */
  readonly givesRedirect?: boolean;
}

/**
 * All HTTP with one repository: one connection that is kept alive, one deadline, the credentials and the
 * origin that they belong to.
 */
export class HttpSession {
  requests = 0;
  /** How far the clock of the last `Date` is ahead of this machine's, ms. Source: RFC 9110, 6.6.1 */
  clockAheadMs: number | undefined;
  /** Called when a request has left, all of it. */
  onSent: (() => void) | undefined;
  /** Redirected away from the origin that the credentials are for. */
  leftOrigin = false;
  #base: URL;
  #hadReply = false;
  #transport: Promise<Transport> | undefined;
  readonly #clock: RemoteClock;
  readonly #deadline: number;

  constructor(
    base: URL,
    private readonly credentials: Authenticator | undefined,
    private readonly options: SessionOptions,
    private readonly preferences: Preferences = DEFAULT_PREFERENCES,
  ) {
    this.#base = base;
    this.#clock = options.clock ?? systemClock;
    this.#deadline = this.#clock.now() + options.timeoutMs;
  }

  get host(): string {
    return this.#base.host;
  }

  /**
   * Sends a request; follows redirects (first reply only, as git's `http.followRedirects=initial`), obeys
   * short waits that the server asks for, and goes on to the next credentials when it refuses some. The reply may have
   * any other status.
   * @throws KbError E_NETWORK, E_AUTH, the abort reason, or what the body threw
   */
  async send(request: SessionRequest): Promise<Reply> {
    for (;;) {
      const reply = await this.#sendAndFollow(request);
      const date = Date.parse(reply.headers.date ?? '');
      if (!Number.isNaN(date)) this.clockAheadMs = date - Date.now();
      if (reply.status === 407) throw await this.#refusedByProxy(reply);
      if (await this.#hasOtherCredentials(reply)) {
        notDelivered(request);
        await discard(reply);
        continue;
      }
      const wait = retryAfterMs(reply, request);
      if (wait === undefined || wait > MAX_POLITE_WAIT_MS || wait >= this.#remainingMs()) return reply;
      notDelivered(request);
      await discard(reply);
      await this.#clock.sleep(wait, this.options.signal);
    }
  }

  /**
   * Lets node notice connections that the server closed while kb was busy, so that a request that must not
   * be sent twice does not go out on a dead one. Takes some turns of the event loop (poll, end of stream,
   * shutdown, close), each of microseconds: none of them waits.
   */
  async dropDeadConnections(): Promise<void> {
    await turns(5);
  }

  close(): void {
    this.#transport?.then(
      (transport) => transport.agent.destroy(),
      () => undefined, // never opened: nothing to close
    );
  }

  async #refusedByProxy(reply: Reply): Promise<KbError> {
    reply.close();
    const proxy = (await this.#transport)?.proxy;
    if (proxy !== undefined) return (await import('./transport.js')).refusedBy(proxy, reply.status);
    return new KbError('E_NETWORK', `${this.host} answered with HTTP status 407, though it is no proxy`);
  }

  /** Tells what became of the credentials that were sent. Those of the first origin are no other's business. */
  async #hasOtherCredentials(reply: Reply): Promise<boolean> {
    if (this.leftOrigin || this.credentials === undefined) return false;
    if (reply.status === 401) return this.credentials.refused(challengesOf(reply));
    if (reply.status < 400) await this.credentials.accepted();
    return false;
  }

  async #sendAndFollow(request: SessionRequest): Promise<Reply> {
    let url = new URL(`${this.#base.href.replace(/\/$/, '')}/${request.path}`);
    for (let followed = 0; ; followed += 1) {
      const reply = await this.#sendTo(url, request);
      if (request.givesRedirect === true || !isRedirect(reply.status)) {
        this.#hadReply = true;
        return reply;
      }
      notDelivered(request);
      await discard(reply);
      const { redirects } = this.preferences;
      if (request.staysHere === true || redirects === 'never')
        throw redirectError(reply, 'though no redirect is to be followed');
      if (this.#hadReply && redirects !== 'always') throw redirectError(reply, 'in the middle of the conversation');
      if (followed === MAX_REDIRECTS) throw redirectError(reply, 'too often');
      url = this.#redirectTarget(reply, request);
    }
  }

  /** Moves the session to where the repository is now. Credentials do not move to another origin. */
  #redirectTarget(reply: Reply, request: SessionRequest): URL {
    const location = reply.headers.location ?? '';
    if (!URL.canParse(location, reply.url.href)) throw redirectError(reply, 'to nowhere');
    const target = new URL(location, reply.url);
    target.username = '';
    target.password = '';
    if (target.protocol !== 'https:' && target.protocol !== 'http:')
      throw redirectError(reply, `to a ${target.protocol} address`);
    if (reply.url.protocol === 'https:' && target.protocol === 'http:')
      throw redirectError(reply, 'from https to http');
    if (!target.href.endsWith(`/${request.path}`))
      throw redirectError(reply, 'to a page that is no git repository (a sign-in page?)');
    if (target.origin !== reply.url.origin) {
      this.leftOrigin = true;
      this.close();
      this.#transport = undefined;
    }
    this.#base = new URL(target.href.slice(0, -request.path.length - 1));
    return target;
  }

  async #sendTo(url: URL, request: SessionRequest): Promise<Reply> {
    // A connection may die at the instant it is used again; once more on a fresh one, never more.
    for (let attempt = 0; ; attempt += 1) {
      const sent: { request?: ClientRequest } = {};
      try {
        const transport = await (this.#transport ??= this.#openTransport(url));
        const headers = await this.#headers(request);
        if (this.#remainingMs() <= 0) throw this.#tooLate();
        this.requests += 1;
        return await exchange({
          request: (options) => (sent.request = transport.request(options)),
          agent: transport.agent,
          url,
          method: request.method,
          headers,
          body: request.body?.(),
          delivery: request.delivery,
          remainingMs: () => this.#remainingMs(),
          idleMs: this.options.idleTimeoutMs ?? this.preferences.idleMs ?? IDLE_MS,
          connectMs: CONNECT_MS,
          signal: this.options.signal,
          onSent: () => this.onSent?.(),
        });
      } catch (error) {
        const isStale = sent.request?.reusedSocket === true && isConnectionLoss(error);
        if (!isStale || !request.repeatable || attempt > 0) throw error;
      }
    }
  }

  /** The user's own headers may be secrets: they go where credentials go, and nowhere else. */
  async #headers(request: SessionRequest): Promise<OutgoingHttpHeaders> {
    const own: OutgoingHttpHeaders = {
      // Some hosts recognise git clients by this beginning and send others a web page.
      'User-Agent': this.preferences.userAgent ?? `git/2.0 (${this.options.userAgent ?? 'kb'})`,
      ...request.headers,
    };
    if (this.leftOrigin) return own;
    const authorization = await this.credentials?.authorization();
    const users = byName(this.preferences.headers);
    return {
      ...Object.fromEntries(Object.entries(own).filter(([name]) => !users.has(name.toLowerCase()))),
      ...Object.fromEntries(users),
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    };
  }

  #remainingMs(): number {
    return this.#deadline - this.#clock.now();
  }

  #tooLate(): KbError {
    return new KbError('E_NETWORK', `no reply from ${this.host} in time: the time for the whole operation is over`, {
      details: { host: this.host, timedOut: true },
    });
  }

  async #openTransport(url: URL): Promise<Transport> {
    // An own agent: node's global one ends connections that are silent for 5 s, as during a slow hook.
    const settings = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 };
    if (!isPlain(url, this.options)) return (await import('./transport.js')).openTransport(url, this.options, settings);
    if (url.protocol === 'http:') return { agent: new Agent(settings), request: httpRequest };
    const https = await import('node:https');
    return { agent: new https.Agent(settings), request: https.request };
  }
}

const systemClock: RemoteClock = {
  now: monotonicMs,
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        const reason: unknown = signal?.reason;
        reject(
          reason instanceof KbError
            ? reason
            : new KbError('E_INTERRUPTED', 'the transfer was stopped', { cause: reason }),
        );
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, milliseconds);
      if (signal?.aborted === true) stop();
      else signal?.addEventListener('abort', stop, { once: true });
    }),
};

/**
 * How long the server asks to wait, in milliseconds; undefined: not to be repeated. A rate limit turned the request away
 * before anything was done; behind a 503 a gateway may have passed it on, so only harmless ones repeat.
 */
function retryAfterMs(reply: Reply, request: SessionRequest): number | undefined {
  if (reply.status === 503 && !request.repeatable) return undefined;
  return rateLimitMs(reply.status, reply.headers, Date.now());
}

/** The server turned the request away before anything was done with it. */
function notDelivered(request: SessionRequest): void {
  if (request.delivery !== undefined) request.delivery.possible = false;
}

function challengesOf(reply: Reply): string[] {
  const value = reply.headers['www-authenticate'];
  return value === undefined ? [] : [value];
}

function byName(headers: Preferences['headers']): Map<string, string[]> {
  const named = new Map<string, string[]>();
  for (const [written, value] of headers) {
    const name = written.toLowerCase();
    named.set(name, [...(named.get(name) ?? []), value]);
  }
  return named;
}

function isConnectionLoss(error: unknown): boolean {
  return isKbError(error, 'E_NETWORK') && /^(ECONNRESET|EPIPE)$/.test(String(error.details['errno']));
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function redirectError(reply: Reply, how: string): KbError {
  const target = printable(redact(reply.headers.location ?? ''), 200);
  return new KbError('E_NETWORK', `${reply.url.host} redirects ${how}: ${target}`, {
    retryable: false,
    hint: 'use the address that the repository has now; if it is private, check the credentials',
  });
}
