import type { RemoteOptions } from '../open.js';
import type { Discovery, FetchRequest, FetchResult, PushOutcome, PushRequest, Remote } from '../remote.js';
import type { RemoteUrl } from '../url.js';
import type { Advertisement } from '../protocol/advertisement.js';
import type { RequestBody } from '../protocol/request-body.js';
import type { Delivery, Reply } from './exchange.js';
import { KbError, isKbError } from '../../errors.js';
import { printable } from '../../printable.js';
import { CredentialChain } from '../credentials/chain.js';
import { MAX_REFS_BYTES, discoveryOf, offersFilter, readAdvertisement } from '../protocol/advertisement.js';
import { fetchRequestV0, fetchRequestV2, readFetchReplyV0, readFetchReplyV2 } from '../protocol/fetch-pack.js';
import { lsRefsRequest, readLsRefs } from '../protocol/ls-refs.js';
import { PacketReader } from '../protocol/pkt-line.js';
import { MAX_REPORT_BYTES, pushBody, readVerdict, unknown } from '../protocol/receive-pack.js';
import type { SessionOptions } from './session-options.js';
import { discard } from './exchange.js';
import { HttpSession } from './session.js';
import { DEFAULT_PREFERENCES } from './session-options.js';
import { statusError, type StatusContext } from './status-error.js';

/** Below this a request fits into one packet anyway, and compressing it gains nothing. */
const GZIP_FROM_BYTES = 1024;

/** Statuses by which a server that knows only protocol v0 answers a v2 request (it is malformed to it). */
const MISUNDERSTOOD = new Set([400, 405, 415, 422, 500, 501]);

const VERSION_2 = { 'Git-Protocol': 'version=2' };

type Service = 'git-upload-pack' | 'git-receive-pack';

/**
 * A repository behind `http://` or `https://`, git's smart protocol only.
 * @throws KbError E_USAGE when the user's settings for it are unusable
 */
export async function openHttpRemote(url: RemoteUrl, { settings: read, ...others }: RemoteOptions): Promise<Remote> {
  const settings = await read?.();
  const options: SessionOptions = { ...others, settings };
  // What most users never set is not even loaded.
  const preferences =
    settings === undefined
      ? DEFAULT_PREFERENCES
      : (await import('./preferences.js')).readPreferences(url.href, settings, options.env);
  const credentials = new CredentialChain(url, { ...options, preset: preferences.authorization });
  return new HttpRemote(
    url,
    credentials,
    new HttpSession(new URL(url.href), credentials, options, preferences),
    options,
  );
}

class HttpRemote implements Remote {
  readonly displayUrl: string;
  readonly #agent: string;
  /** The server has answered a v2 request. */
  #speaksV2 = false;
  /** What it can do for fetches, where it had to be asked. */
  #uploadPack: Advertisement | undefined;
  #receivePack: Advertisement | undefined;
  /** Until the reply to the last push is over, its connection cannot be used for anything else. */
  #rest: Promise<void> | undefined;

  constructor(
    url: RemoteUrl,
    private readonly credentials: CredentialChain,
    private readonly session: HttpSession,
    options: SessionOptions,
  ) {
    this.displayUrl = url.display;
    // Blanks would end the capability.
    this.#agent = (options.userAgent ?? 'kb').replace(/[^\x21-\x7e]+/g, '-');
  }

  set onSent(listener: (() => void) | undefined) {
    this.session.onSent = listener;
  }

  get requests(): number {
    return this.session.requests;
  }

  get clockAheadMs(): number | undefined {
    return this.session.clockAheadMs;
  }

  async discover(intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery> {
    await this.#rest;
    if (intent === 'write') {
      this.#receivePack = await this.#advertisement('git-receive-pack');
      return discoveryOf(this.#receivePack, prefixes);
    }
    // What a v0 server listed earlier may be out of date by now.
    if (this.#uploadPack !== undefined && this.#uploadPack.version !== 2)
      this.#uploadPack = await this.#advertisement('git-upload-pack');
    const listed = await this.#askV2(
      () =>
        lsRefsRequest(prefixes, this.#agent, this.#uploadPack?.capabilities.all('ls-refs').includes('unborn') ?? true),
      MAX_REFS_BYTES,
      (packets) => readLsRefs(packets, prefixes),
    );
    return listed ?? discoveryOf(await this.#knownUploadPack(), prefixes);
  }

  async fetch(request: FetchRequest): Promise<FetchResult> {
    await this.#rest;
    if (request.wants.length === 0) return { shallow: [], unshallow: [], empty: true };
    const result = await this.#askV2(
      () => fetchRequestV2(request, this.#agent),
      Infinity,
      (packets) => readFetchReplyV2(packets, request, this.displayUrl),
    );
    if (result !== undefined) return result;
    const { capabilities } = await this.#knownUploadPack();
    const reply = await this.#postToUploadPack(fetchRequestV0(request, this.#agent, capabilities), {});
    await this.#expectOk(reply, 'application/x-git-upload-pack-result');
    return this.#readWhole(reply, Infinity, (packets) => readFetchReplyV0(packets, request, this.displayUrl));
  }

  async canFilter(): Promise<boolean> {
    return offersFilter(await this.#knownUploadPack());
  }

  async push(request: PushRequest): Promise<PushOutcome> {
    await this.#rest;
    const { capabilities } = (this.#receivePack ??= await this.#advertisement('git-receive-pack'));
    const delivery: Delivery = { possible: false };
    await this.session.dropDeadConnections();
    let reply: Reply;
    try {
      reply = await this.session.send({
        method: 'POST',
        path: 'git-receive-pack',
        headers: {
          'Content-Type': 'application/x-git-receive-pack-request',
          Accept: 'application/x-git-receive-pack-result',
        },
        body: () => pushBody(request, capabilities, this.#agent),
        repeatable: false,
        delivery,
      });
    } catch (error) {
      // The invariant of "exactly once": an error is thrown only when the server cannot have got the whole
      // request. From then on a failure is an open question (`unknown`), which the caller answers by looking.
      if (delivery.possible && isKbError(error)) return unknown(error);
      throw error;
    }
    if (reply.status !== 200) return this.#pushRejected(reply, delivery);
    if (!hasContentType(reply, 'application/x-git-receive-pack-result')) {
      reply.close();
      return unknown(notGitError(reply, this.displayUrl));
    }
    let outcome: PushOutcome;
    try {
      outcome = await readVerdict(new PacketReader(reply, MAX_REPORT_BYTES), request, capabilities);
    } catch (error) {
      reply.close();
      throw error;
    }
    const rest = discard(reply).catch(() => undefined); // the verdict stands, whatever comes after it
    if (outcome.kind === 'landed') this.#rest = rest;
    else await rest;
    return outcome;
  }

  async heardOut(): Promise<void> {
    await this.#rest;
  }

  close(): Promise<void> {
    this.session.close();
    return Promise.resolve();
  }

  async #pushRejected(reply: Reply, delivery: Delivery): Promise<PushOutcome> {
    const error = await statusError(reply, this.#statusContext());
    if (reply.status === 413)
      return { kind: 'refused', message: 'the push is larger than the server allows (HTTP status 413)' };
    // Below 500 the server turned the request away; from 500 on a gateway may have lost only the reply.
    if (reply.status >= 500 && delivery.possible) return unknown(error);
    throw error;
  }

  /**
   * Sends a v2 request; the first one without knowing whether the server speaks v2, which saves a round trip.
   * If it did not understand, its abilities are asked for, and the request is repeated if it can v2 after all.
   * @returns undefined when the server speaks only v0 or v1
   */
  async #askV2<T>(
    body: () => Buffer,
    limit: number,
    read: (packets: PacketReader) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    if (this.#uploadPack === undefined) {
      const result = await this.#tryV2(body(), limit, read);
      if (result !== undefined) {
        this.#speaksV2 = true;
        return result;
      }
      if (this.#speaksV2) throw notUnderstood(this.displayUrl);
    }
    if ((await this.#knownUploadPack()).version !== 2) return undefined;
    const result = await this.#tryV2(body(), limit, read);
    if (result === undefined) throw notUnderstood(this.displayUrl);
    return result;
  }

  async #tryV2<T>(
    body: Buffer,
    limit: number,
    read: (packets: PacketReader) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const reply = await this.#postToUploadPack(body, VERSION_2);
    if (!this.#speaksV2 && this.#uploadPack === undefined && MISUNDERSTOOD.has(reply.status)) {
      await discard(reply);
      return undefined;
    }
    await this.#expectOk(reply, 'application/x-git-upload-pack-result');
    return this.#readWhole(reply, limit, read);
  }

  async #postToUploadPack(body: Buffer, headers: Readonly<Record<string, string>>): Promise<Reply> {
    const isLarge = body.length > GZIP_FROM_BYTES;
    const data = isLarge ? (await import('node:zlib')).gzipSync(body) : body;
    return this.session.send({
      method: 'POST',
      path: 'git-upload-pack',
      headers: {
        'Content-Type': 'application/x-git-upload-pack-request',
        Accept: 'application/x-git-upload-pack-result',
        ...(isLarge ? { 'Content-Encoding': 'gzip' } : {}),
        ...headers,
      },
      body: (): RequestBody => ({ chunks: [data], length: data.length }),
      repeatable: true,
    });
  }

  async #knownUploadPack(): Promise<Advertisement> {
    return (this.#uploadPack ??= await this.#advertisement('git-upload-pack', VERSION_2));
  }

  async #advertisement(service: Service, headers: Readonly<Record<string, string>> = {}): Promise<Advertisement> {
    const reply = await this.session.send({
      method: 'GET',
      path: `info/refs?service=${service}`,
      headers: { Accept: '*/*', ...headers },
      repeatable: true,
    });
    await this.#expectOk(reply, `application/x-${service}-advertisement`);
    return this.#readWhole(reply, MAX_REFS_BYTES, (packets) => readAdvertisement(packets, service, this.displayUrl));
  }

  async #expectOk(reply: Reply, contentType: string): Promise<void> {
    if (reply.status !== 200) throw await statusError(reply, this.#statusContext());
    if (hasContentType(reply, contentType)) return;
    reply.close();
    throw notGitError(reply, this.displayUrl);
  }

  /** The reply must be whole, its transport's end included, before anyone believes it. */
  async #readWhole<T>(reply: Reply, limit: number, read: (packets: PacketReader) => Promise<T>): Promise<T> {
    try {
      const packets = new PacketReader(reply, limit);
      const result = await read(packets);
      if (result !== undefined) await packets.expectEnd();
      return result;
    } finally {
      reply.close();
    }
  }

  #statusContext(): StatusContext {
    return { displayUrl: this.displayUrl, credentials: this.credentials, leftOrigin: this.session.leftOrigin };
  }
}

function notUnderstood(displayUrl: string): KbError {
  return new KbError('E_NETWORK', `${displayUrl} did not understand the request, or sent an empty reply`);
}

function hasContentType(reply: Reply, contentType: string): boolean {
  return (reply.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() === contentType;
}

/** A web page, a captive portal, or a repository served as plain files. */
function notGitError(reply: Reply, displayUrl: string): KbError {
  const type = printable(reply.headers['content-type'] ?? 'nothing known', 80);
  return new KbError('E_NETWORK', `${displayUrl} does not answer as a git server (smart HTTP) but with ${type}`, {
    retryable: false,
    hint: 'check that the URL is that of a git repository and that no sign-in page stands before it',
  });
}
