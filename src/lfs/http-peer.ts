import { KbError, isKbError, type ErrorCode } from '../errors.js';
import { printable } from '../printable.js';
import { CredentialChain } from '../remote/credentials/chain.js';
import { discard, type Reply } from '../remote/http/exchange.js';
import type { Preferences } from '../remote/http/preferences.js';
import { DEFAULT_PREFERENCES, type Authenticator, type SessionOptions } from '../remote/http/session-options.js';
import { HttpSession, type SessionRequest } from '../remote/http/session.js';
import { readExplanation, statusError } from '../remote/http/status-error.js';
import type { RemoteOptions } from '../remote/open.js';
import type { RequestBody } from '../remote/protocol/request-body.js';
import { retryDelays } from '../remote/retry.js';
import type { RemoteUrl } from '../remote/url.js';
import {
  BATCH_LIMIT,
  LFS_JSON,
  batchRequest,
  forObject,
  harmlessTarget,
  notAnAnswer,
  readAnswers,
  type Action,
  type Answer,
} from './batch.js';
import type { LfsOperation } from './endpoint.js';
import type { LfsPeer, LfsProgress, Transfer } from './peer.js';
import type { LfsObject, LfsOid } from './pointer.js';
import type { LfsStore } from './store.js';

export interface HttpPeerOptions extends RemoteOptions {
  /** Wall clock, milliseconds since 1970: servers say until when an address is good. */
  readonly wall: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** For each question to the server, in the place of credentials: what `git-lfs-authenticate` gave. */
  readonly headers?: () => Promise<Readonly<Record<string, string>>>;
}

/** So many files at a time, each on its own connection. */
const AT_ONCE = 4;
/** A file that failed for a reason that may pass is tried so often in all. */
const MOST_ROUNDS = 4;
/** An address that is good for less than this is asked for anew, ms. Source: tools/time_tools.go of git-lfs. */
const SOON_MS = 5_000;
const MOST_VERIFIES = 3;
const MOST_REDIRECTS = 5;
/** Longest answer of the batch API, bytes: 100 objects with long addresses are a tenth of it. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** These end all transfers: the next file would fail in the same way, or nobody wants it any more. */
const FATAL = new Set<ErrorCode>(['E_STORAGE', 'E_INTERRUPTED', 'E_TERMINATED', 'E_LOCK_LOST', 'E_TIMEOUT']);

/**
 * An LFS server over http(s): the batch API, and its `basic` transfers.
 * Sources: git-lfs, docs/api/batch.md and docs/api/basic-transfers.md.
 * @throws KbError E_USAGE when the user's settings for it are unusable
 */
export async function openHttpPeer(
  endpoint: RemoteUrl,
  store: LfsStore,
  { settings: read, ...others }: HttpPeerOptions,
): Promise<LfsPeer> {
  const settings = await read?.();
  const options = { ...others, settings };
  const preferencesFor =
    settings === undefined
      ? (): Promise<Preferences> => Promise.resolve(DEFAULT_PREFERENCES)
      : async (href: string): Promise<Preferences> =>
          (await import('../remote/http/preferences.js')).readPreferences(href, settings, options.env);
  const preferences = await preferencesFor(endpoint.href);
  const credentials = new CredentialChain(endpoint, { ...options, preset: preferences.authorization });
  const session = new HttpSession(
    new URL(endpoint.href),
    options.headers === undefined ? credentials : undefined,
    options,
    preferences,
  );
  return new HttpPeer(endpoint, store, { options, preferences, preferencesFor, credentials, session });
}

interface HttpPeerParts {
  readonly options: SessionOptions & Pick<HttpPeerOptions, 'wall' | 'random' | 'headers'>;
  /** For the server itself. */
  readonly preferences: Preferences;
  readonly preferencesFor: (href: string) => Promise<Preferences>;
  readonly credentials: CredentialChain;
  readonly session: HttpSession;
}

/** Connections of one worker, by origin. */
type Connections = Map<string, HttpSession>;

class HttpPeer implements LfsPeer {
  readonly displayUrl: string;
  readonly #endpoint: URL;
  /** One for each file that moves at the same time; kept for the next files. */
  readonly #workers: Connections[] = Array.from({ length: AT_ONCE }, () => new Map<string, HttpSession>());

  constructor(
    endpoint: RemoteUrl,
    private readonly store: LfsStore,
    private readonly parts: HttpPeerParts,
  ) {
    this.displayUrl = endpoint.display;
    this.#endpoint = new URL(endpoint.href);
  }

  get requests(): number {
    const open = this.#workers.flatMap((worker) => [...worker.values()]);
    return [this.parts.session, ...open].reduce((sum, { requests }) => sum + requests, 0);
  }

  fetch(transfer: Transfer): Promise<ReadonlyMap<LfsOid, KbError>> {
    return this.#inRounds('download', transfer, (answer, connections, moved) =>
      answer.kind === 'transfer' ? this.#download(answer.object, answer.action, connections, moved) : Promise.resolve(),
    );
  }

  async send(transfer: Transfer): Promise<void> {
    const failed = await this.#inRounds('upload', transfer, async (answer, connections, moved) => {
      if (answer.kind !== 'transfer') return;
      const { object, action, verify } = answer;
      if (!this.store.has(object)) {
        throw new KbError(
          'E_CORRUPT',
          `the large file ${object.oid} is neither here nor on the LFS server ${this.displayUrl}`,
          {
            details: { oid: object.oid },
            hint: 'bring it here from where it was added (git lfs fetch --all), or take the file back',
          },
        );
      }
      await this.#upload(object, action, connections, moved);
      if (verify !== undefined) await this.#verify(object, verify, connections);
    });
    const [first] = failed.values();
    if (first === undefined) return;
    if (failed.size === 1) throw first;
    throw new KbError(first.code, `${failed.size} large files could not be sent; the first: ${first.message}`, {
      cause: first,
      hint: first.hint,
      retryable: first.retryable,
      details: { ...first.details, oids: [...failed.keys()].slice(0, 100) },
    });
  }

  close(): void {
    this.parts.session.close();
    this.#cutTransfers();
  }

  /** Asks for all objects, moves them, and asks again for those that failed for a reason that may pass. */
  async #inRounds(
    operation: LfsOperation,
    { objects, ref, onProgress }: Transfer,
    move: (answer: Answer, connections: Connections, moved: (bytes: number) => void) => Promise<void>,
  ): Promise<Map<LfsOid, KbError>> {
    const failed = new Map<LfsOid, KbError>();
    const progress = new Moved(objects.length, onProgress);
    const delays = retryDelays(this.parts.options.random);
    let left: readonly LfsObject[] = objects;
    for (let round = 1; left.length > 0; round += 1) {
      const again: LfsObject[] = [];
      const fail = (object: LfsObject, error: KbError): void => {
        failed.set(object.oid, error);
        // The address of a file may have been good for too short a time: the next one is fresh.
        if (error.retryable || (error.code === 'E_AUTH' && round === 1)) again.push(object);
        else progress.finished();
      };
      for (let at = 0; at < left.length; at += BATCH_LIMIT) {
        const asked = left.slice(at, at + BATCH_LIMIT);
        let answers: Answer[];
        try {
          answers = await this.#ask(operation, asked, ref);
        } catch (error) {
          if (!isKbError(error, 'E_NETWORK') || !error.retryable || round === MOST_ROUNDS) throw error;
          for (const object of asked) fail(object, error);
          continue;
        }
        await this.#atOnce(answers, async (answer, connections) => {
          let bytes = 0;
          try {
            if (answer.kind === 'error') throw answer.error;
            await move(answer, connections, (count) => {
              bytes += count;
              progress.moved(count);
            });
            failed.delete(answer.object.oid);
            progress.finished();
          } catch (error) {
            progress.moved(-bytes);
            if (!(error instanceof KbError) || FATAL.has(error.code)) throw error;
            fail(answer.object, error);
          }
        });
      }
      if (again.length === 0 || round === MOST_ROUNDS) break;
      left = again;
      const delay = delays.next();
      await this.#pause(delay.done === true ? 0 : delay.value);
    }
    return failed;
  }

  async #pause(ms: number): Promise<void> {
    const { clock, signal } = this.parts.options;
    signal?.throwIfAborted();
    if (ms === 0) return;
    if (clock !== undefined) return clock.sleep(ms, signal);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** A few at a time. Once one ends it all, the connections of the others are cut, and all have ended before it is told. */
  async #atOnce(
    answers: readonly Answer[],
    work: (answer: Answer, connections: Connections) => Promise<void>,
  ): Promise<void> {
    const waiting = [...answers];
    const failures: unknown[] = [];
    await Promise.all(
      this.#workers.map(async (connections) => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          try {
            await work(next, connections);
          } catch (error) {
            if (failures.push(error) > 1) return;
            waiting.length = 0;
            this.#cutTransfers();
          }
        }
      }),
    );
    if (failures.length > 0) throw failures[0];
  }

  #cutTransfers(): void {
    for (const worker of this.#workers) {
      for (const session of worker.values()) session.close();
      worker.clear();
    }
  }

  /** @throws KbError E_NETWORK, E_AUTH, E_REFUSED when the server answers nothing at all */
  async #ask(operation: LfsOperation, asked: readonly LfsObject[], ref: string | undefined): Promise<Answer[]> {
    const { session, options, credentials } = this.parts;
    const body = Buffer.from(batchRequest(operation, asked, ref));
    const reply = await session.send({
      method: 'POST',
      path: 'objects/batch',
      headers: { Accept: LFS_JSON, 'Content-Type': LFS_JSON, ...(await options.headers?.()) },
      body: () => ({ chunks: [body], length: body.length }),
      repeatable: true,
    });
    if (reply.status !== 200) {
      const described = options.headers === undefined ? credentials : sentBySsh;
      throw await lfsStatusError(reply, this.displayUrl, described, session.leftOrigin);
    }
    const endpoint = new URL(reply.url);
    const text = await readText(reply);
    return readAnswers(text, { operation, asked, endpoint, nowMs: options.wall() });
  }

  async #download(
    object: LfsObject,
    action: Action,
    connections: Connections,
    moved: (bytes: number) => void,
  ): Promise<void> {
    if (this.store.has(object)) return;
    const reply = await this.#act(object, action, connections, { method: 'GET', headers: action.headers });
    if (reply.status !== 200) throw await this.#refused(object, reply);
    const incoming = this.store.receive(object);
    try {
      for (let piece = await reply.read(); piece !== undefined; piece = await reply.read()) {
        incoming.write(piece);
        moved(piece.length);
      }
      incoming.finish();
    } catch (error) {
      incoming.abort();
      throw error;
    } finally {
      reply.close();
    }
  }

  async #upload(
    object: LfsObject,
    action: Action,
    connections: Connections,
    moved: (bytes: number) => void,
  ): Promise<void> {
    const { 'transfer-encoding': encoding, ...headers } = action.headers;
    // Some object stores want to be told no length.
    const length = encoding?.toLowerCase() === 'chunked' ? {} : { length: object.size };
    let sent = 0;
    const body = (): RequestBody => {
      moved(-sent);
      sent = 0;
      return {
        chunks: counted(this.store.proved(object, true), (bytes) => {
          sent += bytes;
          moved(bytes);
        }),
        ...length,
      };
    };
    const reply = await this.#act(object, action, connections, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream', ...headers },
      body,
    });
    if (reply.status < 200 || reply.status > 299) throw await this.#refused(object, reply);
    await discard(reply);
  }

  /** Only what the server has counted and hashed itself is there. Source: docs/api/basic-transfers.md, "Verification". */
  async #verify(object: LfsObject, action: Action, connections: Connections): Promise<void> {
    const data = Buffer.from(JSON.stringify({ oid: object.oid, size: object.size }));
    for (let attempt = 1; ; attempt += 1) {
      try {
        const reply = await this.#act(object, action, connections, {
          method: 'POST',
          headers: { accept: LFS_JSON, ...action.headers, 'content-type': LFS_JSON },
          body: () => ({ chunks: [data], length: data.length }),
        });
        if (reply.status !== 200) throw await this.#refused(object, reply);
        return await discard(reply);
      } catch (error) {
        if (!(error instanceof KbError) || FATAL.has(error.code)) throw error;
        if (error.retryable && attempt < MOST_VERIFIES) continue;
        // Never retryable from here: asked for again, the server would say that it is there, and nobody had verified it.
        throw new KbError(
          error.code === 'E_NETWORK' ? 'E_NETWORK' : 'E_REFUSED',
          `the LFS server took it and did not confirm it: ${error.message}`,
          { cause: error, hint: error.hint, retryable: false, details: error.details },
        );
      }
    }
  }

  /** Sends what the server asked for, and follows where it leads. */
  async #act(
    object: LfsObject,
    action: Action,
    connections: Connections,
    request: Pick<SessionRequest, 'method' | 'body'> & { readonly headers: Readonly<Record<string, string>> },
  ): Promise<Reply> {
    if (action.expiresAt !== undefined && action.expiresAt < this.parts.options.wall() + SOON_MS)
      throw forObject('E_NETWORK', object, 'its address on the LFS server was good for too short a time', true);
    let { headers } = request;
    let target = action.href;
    for (let followed = 0; ; followed += 1) {
      const isOwn = target.origin === action.href.origin && !action.isAuthenticated && !('authorization' in headers);
      const session = await this.#sessionTo(target, isOwn, connections);
      const reply = await session.send({
        ...request,
        headers,
        path: target.pathname.slice(1) + target.search,
        repeatable: true,
        givesRedirect: true,
      });
      const location = redirectOf(reply, request.method);
      if (location === undefined) return reply;
      await discard(reply);
      if (
        this.parts.preferences.redirects === 'never' ||
        followed === MOST_REDIRECTS ||
        !URL.canParse(location, reply.url.href)
      )
        throw forObject(
          'E_NETWORK',
          object,
          `${reply.url.host} redirects to nowhere, too often, or though no redirect is to be followed`,
        );
      const next = harmlessTarget(new URL(location, reply.url), target);
      // What the server gave for one place may be a secret of that place.
      if (next.origin !== target.origin) headers = {};
      target = next;
    }
  }

  /**
   * Invariant: credentials of the user go to the LFS server's own origin and nowhere else, and not where the server has
   * given others (test: "credentials go to the LFS server alone").
   */
  async #sessionTo(target: URL, mayCarry: boolean, connections: Connections): Promise<HttpSession> {
    const { options, preferences, preferencesFor, credentials } = this.parts;
    const isOwn = target.origin === this.#endpoint.origin && !this.parts.session.leftOrigin;
    const carries = mayCarry && isOwn && options.headers === undefined;
    const key = `${target.origin} ${carries}`;
    const known = connections.get(key);
    if (known !== undefined) return known;
    const session = new HttpSession(
      new URL(target.origin),
      carries ? asAccepted(credentials) : undefined,
      options,
      isOwn ? preferences : { ...(await preferencesFor(target.href)), headers: [] },
    );
    connections.set(key, session);
    return session;
  }

  async #refused(object: LfsObject, reply: Reply): Promise<KbError> {
    const shown = printable(`${reply.url.origin}${reply.url.pathname}`, 300);
    const error = await lfsStatusError(reply, shown, namedByServer, false);
    return new KbError(error.code, `the large file ${object.oid.slice(0, 12)}…: ${error.message}`, {
      cause: error,
      hint: error.hint,
      retryable: error.retryable,
      details: { ...error.details, oid: object.oid },
    });
  }
}

/** What has been accepted for the question goes out with the transfers, and nothing else is tried for them. */
function asAccepted(credentials: Authenticator): Authenticator {
  return {
    authorization: () => credentials.authorization(),
    refused: () => Promise.resolve(false),
    accepted: () => Promise.resolve(),
  };
}

const sentBySsh = { tried: ['git-lfs-authenticate'], describe: () => 'those of git-lfs-authenticate were sent' };
const namedByServer = { tried: ['the LFS server'], describe: () => 'those that the LFS server named were sent' };

/** Statuses that have another meaning than for git. Source: git-lfs, docs/api/batch.md, "Response Errors". */
async function lfsStatusError(
  reply: Reply,
  displayUrl: string,
  credentials: { readonly tried: readonly string[]; describe(): string },
  leftOrigin: boolean,
): Promise<KbError> {
  const why = REFUSALS[reply.status];
  if (why !== undefined) {
    const { status } = reply;
    const explanation = await readExplanation(reply);
    const said = explanation === '' ? '' : `; it says: ${explanation}`;
    return new KbError('E_REFUSED', `${displayUrl} ${why} (HTTP status ${status})${said}`, {
      details: { status, url: displayUrl },
      hint: 'ask whoever runs the LFS server',
    });
  }
  const error = await statusError(reply, { displayUrl, credentials, leftOrigin });
  if (reply.status !== 404 && reply.status !== 410) return error;
  return new KbError(error.code, error.message, {
    details: error.details,
    hint: 'check that the remote has Git LFS (or name the server: git config lfs.url ADDRESS), and that the token may use it',
  });
}

const REFUSALS: Readonly<Record<number, string>> = {
  413: 'does not take as much',
  422: 'refuses the request',
  507: 'has no room left',
  509: 'has used up its bandwidth',
};

/** @returns undefined where there is nothing to follow; a body is sent again only where the status says so (RFC 9110, 15.4) */
function redirectOf(reply: Reply, method: string): string | undefined {
  const { status, headers } = reply;
  const isMoved = status === 307 || status === 308;
  const isSeen = method === 'GET' && (status === 301 || status === 302 || status === 303);
  return isMoved || isSeen ? (headers.location ?? '') : undefined;
}

async function readText(reply: Reply): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for (let piece = await reply.read(); piece !== undefined; piece = await reply.read()) {
      size += piece.length;
      if (size > MAX_ANSWER_BYTES) throw notAnAnswer('it is too long');
      parts.push(piece);
    }
  } finally {
    reply.close();
  }
  return Buffer.concat(parts).toString('utf8');
}

function* counted(pieces: Iterable<Buffer>, count: (bytes: number) => void): Generator<Buffer> {
  for (const piece of pieces) {
    yield piece;
    count(piece.length);
  }
}

/** How far all of it is. */
class Moved {
  private done = 0;
  private bytes = 0;

  constructor(
    private readonly total: number,
    private readonly tell: ((progress: LfsProgress) => void) | undefined,
  ) {}

  moved(bytes: number): void {
    this.bytes += bytes;
    this.tell?.({ done: this.done, total: this.total, bytes: this.bytes });
  }

  finished(): void {
    this.done += 1;
    this.tell?.({ done: this.done, total: this.total, bytes: this.bytes });
  }
}
