import { monotonicMs } from '../../monotonic.js';
import type { RemoteOptions } from '../open.js';
import type { Discovery, FetchRequest, FetchResult, PushOutcome, PushRequest, Remote } from '../remote.js';
import type { RemoteUrl } from '../url.js';
import type { Advertisement } from '../protocol/advertisement.js';
import { KbError, isKbError } from '../../errors.js';
import { MAX_REFS_BYTES, discoveryOf, offersFilter, readAdvertisement } from '../protocol/advertisement.js';
import { fetchRequestV0, fetchRequestV2, readFetchReplyV0, readFetchReplyV2 } from '../protocol/fetch-pack.js';
import { lsRefsRequest, readLsRefs } from '../protocol/ls-refs.js';
import { FLUSH, PacketReader } from '../protocol/pkt-line.js';
import { MAX_REPORT_BYTES, pushBody, readVerdict, unknown } from '../protocol/receive-pack.js';
import { destinationOf, type SshAddress } from './address.js';
import { probeLine, sshCommandLine, sshProgram, type SshSettings, type SshVariant } from './command.js';
import { SshConnection, succeeds } from './connection.js';
import { sshEnvironment } from './environment.js';

/** Silence that long means that the other side is gone: git's servers send a keep-alive every 5 s. */
const IDLE_MS = 120_000;

type Service = 'git-upload-pack' | 'git-receive-pack';

/** A connection whose server has said what it has and can. */
interface Conversation {
  readonly connection: SshConnection;
  readonly advertisement: Advertisement;
}

/** A repository behind ssh. Nothing is started yet. @throws KbError E_USAGE when ssh's settings make no sense */
export function openSshRemote(url: RemoteUrl, address: SshAddress, options: RemoteOptions): Promise<Remote> {
  return Promise.resolve().then(() => new SshRemote(url.display, address, options));
}

/**
 * Git's protocol over the system's ssh, one connection a program: receive-pack lists its refs first and takes the push
 * on the same connection, also when a fetch over another one comes between; upload-pack lists, and sends any number of
 * packs (protocol v2), or one (v0 and v1, of servers that do not let `GIT_PROTOCOL` in).
 */
class SshRemote implements Remote {
  requests = 0;
  #receivePack: Conversation | undefined;
  #uploadPack: Conversation | undefined;
  /** The connection of the push that landed last, until the server has ended it. */
  #landing: { readonly connection: SshConnection; readonly heardOut: Promise<void> } | undefined;
  #variant: SshVariant | undefined;
  readonly #ending: Promise<void>[] = [];
  readonly #settings: SshSettings;
  readonly #agent: string;
  readonly #now: () => number;
  readonly #deadline: number;

  constructor(
    readonly displayUrl: string,
    private readonly address: SshAddress,
    private readonly options: RemoteOptions,
  ) {
    this.#settings = options.ssh?.() ?? {};
    // Blanks would end the capability.
    this.#agent = (options.userAgent ?? 'kb').replace(/[^\x21-\x7e]+/g, '-');
    this.#now = () => options.clock?.now() ?? monotonicMs();
    this.#deadline = this.#now() + options.timeoutMs;
  }

  async discover(intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery> {
    if (intent === 'write') {
      this.#hangUp('git-receive-pack'); // what it listed is out of date
      this.#receivePack = await this.#converse('git-receive-pack');
      return discoveryOf(this.#receivePack.advertisement, prefixes);
    }
    if (this.#uploadPack?.advertisement.version !== 2) this.#hangUp('git-upload-pack');
    const { connection, advertisement } = await this.#uploading();
    if (advertisement.version !== 2) return discoveryOf(advertisement, prefixes);
    const askUnborn = advertisement.capabilities.all('ls-refs').includes('unborn');
    return this.#ask(
      connection,
      lsRefsRequest(prefixes, this.#agent, askUnborn),
      (packets) => readLsRefs(packets, prefixes),
      MAX_REFS_BYTES,
    );
  }

  async fetch(request: FetchRequest): Promise<FetchResult> {
    if (request.wants.length === 0) return { shallow: [], unshallow: [], empty: true };
    const { connection, advertisement } = await this.#uploading();
    const { version, capabilities } = advertisement;
    if (version === 2) {
      return this.#ask(connection, fetchRequestV2(request, this.#agent), (packets) =>
        readFetchReplyV2(packets, request, this.displayUrl),
      );
    }
    try {
      return await this.#ask(connection, fetchRequestV0(request, this.#agent, capabilities), (packets) =>
        readFetchReplyV0(packets, request, this.displayUrl),
      );
    } finally {
      this.#hangUp('git-upload-pack', 'in the middle'); // with its pack this conversation is over
    }
  }

  async canFilter(): Promise<boolean> {
    return offersFilter((await this.#uploading()).advertisement);
  }

  async push(request: PushRequest): Promise<PushOutcome> {
    await this.heardOut();
    if (this.#receivePack?.connection.isOver === true) this.#hangUp('git-receive-pack');
    const { connection, advertisement } = (this.#receivePack ??= await this.#converse('git-receive-pack'));
    const { capabilities } = advertisement;
    const delivery = { possible: false };
    let sendFailure: KbError | undefined;
    let outcome: PushOutcome | undefined;
    try {
      try {
        await connection.write(pushBody(request, capabilities, this.#agent), () => (delivery.possible = true));
      } catch (error) {
        if (!isKbError(error, 'E_NETWORK') && !isKbError(error, 'E_AUTH')) throw error;
        sendFailure = error; // who stops listening may have said why: a push that is too large
      }
      outcome = await readVerdict(new PacketReader(connection, MAX_REPORT_BYTES), request, capabilities);
      if (outcome.kind !== 'unknown') return outcome;
      // The invariant of "exactly once": an error is thrown only when the server cannot have got the whole request.
      // From then on a failure is an open question (`unknown`), which the caller answers by looking.
      if (sendFailure !== undefined && !delivery.possible) throw sendFailure;
      return connection.wasCut ? unknown(await connection.failure()) : outcome;
    } finally {
      // With its verdict this conversation is over; but the hooks of a push that landed may still run.
      if (outcome?.kind === 'landed') {
        this.#receivePack = undefined;
        this.#landing = { connection, heardOut: listenOut(connection) };
      } else this.#hangUp('git-receive-pack', 'in the middle');
    }
  }

  async heardOut(): Promise<void> {
    await this.#landing?.heardOut;
    this.#leaveLanding();
  }

  async close(): Promise<void> {
    this.#hangUp('git-receive-pack');
    this.#hangUp('git-upload-pack');
    this.#leaveLanding();
    await Promise.all(this.#ending.splice(0));
  }

  #leaveLanding(): void {
    if (this.#landing !== undefined) this.#ending.push(this.#landing.connection.close());
    this.#landing = undefined;
  }

  async #uploading(): Promise<Conversation> {
    if (this.#uploadPack?.connection.isOver === true) this.#hangUp('git-upload-pack');
    return (this.#uploadPack ??= await this.#converse('git-upload-pack'));
  }

  /** Starts ssh, and reads what the program at its other end says first. */
  async #converse(service: Service): Promise<Conversation> {
    const connection = await this.#connect(service);
    try {
      const packets = new PacketReader(connection, MAX_REFS_BYTES);
      return { connection, advertisement: await readAdvertisement(packets, service, this.displayUrl) };
    } catch (error) {
      const known = await this.#explain(error, connection);
      this.#ending.push(connection.close());
      throw known;
    }
  }

  async #connect(service: Service): Promise<SshConnection> {
    const { env, signal, ask } = this.options;
    signal?.throwIfAborted();
    const { front, name, variant } = sshProgram(env, this.#settings);
    const limits = { remainingMs: () => this.#deadline - this.#now(), signal };
    if (this.#variant === undefined) {
      const probe = (): Promise<boolean> =>
        succeeds(probeLine(front, this.address), sshEnvironment(env, undefined), limits);
      this.#variant = variant !== 'auto' ? variant : (await probe()) ? 'ssh' : 'simple';
    }
    const batch = ask === undefined;
    // There is no v2 of receive-pack.
    const version = service === 'git-upload-pack' ? { protocolVersion: 2 as const } : {};
    this.requests += 1;
    return new SshConnection({
      command: sshCommandLine(front, this.#variant, this.#settings, {
        address: this.address,
        service,
        ...version,
        batch,
      }),
      env: sshEnvironment(env, version.protocolVersion),
      programName: name,
      displayUrl: this.displayUrl,
      destination: destinationOf(this.address),
      batch,
      idleMs: this.options.idleTimeoutMs ?? IDLE_MS,
      ...limits,
    });
  }

  /** One question to a server that stands, and its answer. */
  async #ask<T>(
    connection: SshConnection,
    question: Buffer,
    read: (packets: PacketReader) => Promise<T | undefined>,
    limit?: number,
  ): Promise<T> {
    try {
      await connection.write({ chunks: [question], length: question.length });
      const answer = await read(new PacketReader(connection, limit));
      if (answer !== undefined) return answer;
      throw new KbError('E_NETWORK', `${this.displayUrl} did not understand the request, or ended without a reply`);
    } catch (error) {
      const known = await this.#explain(error, connection);
      this.#hangUp('git-upload-pack', 'in the middle'); // half an answer is on it
      throw known;
    }
  }

  /** Why ssh ended says more than that its output did; and what is no git at all may be a talkative shell. */
  async #explain(error: unknown, connection: SshConnection): Promise<unknown> {
    if (!isKbError(error, 'E_NETWORK')) return error;
    if (connection.wasCut) return connection.failure();
    if (error.retryable || !/not what git's protocol says/.test(error.message)) return error;
    return new KbError('E_NETWORK', error.message, {
      cause: error,
      retryable: false,
      hint: `see whether the account prints something at its start, which it must not: ssh ${destinationOf(this.address)} true`,
    });
  }

  #hangUp(service: Service, when: 'before a request' | 'in the middle' = 'before a request'): void {
    const conversation = service === 'git-upload-pack' ? this.#uploadPack : this.#receivePack;
    if (service === 'git-upload-pack') this.#uploadPack = undefined;
    else this.#receivePack = undefined;
    // A flush packet is how git says that nothing follows: the server then ends without a complaint.
    if (conversation !== undefined)
      this.#ending.push(conversation.connection.close(when === 'in the middle' ? undefined : FLUSH));
  }
}

/** Reads to the end what nobody needs any more; how it ends does not matter, for the verdict stands. */
async function listenOut(connection: SshConnection): Promise<void> {
  try {
    while ((await connection.read()) !== undefined);
  } catch {
    // it went silent, or there is no time left
  }
}
