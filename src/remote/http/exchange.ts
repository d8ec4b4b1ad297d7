import { monotonicMs } from '../../monotonic.js';
import type {
  Agent,
  ClientRequest,
  IncomingHttpHeaders,
  IncomingMessage,
  OutgoingHttpHeaders,
  RequestOptions,
} from 'node:http';
import type { ByteSource } from '../protocol/pkt-line.js';
import type { RequestBody } from '../protocol/request-body.js';
import { KbError } from '../../errors.js';
import { networkError } from './network-error.js';

/** Whether the server can have got the whole request: until then nothing can have changed there. */
export interface Delivery {
  possible: boolean;
}

export interface ExchangeOptions {
  readonly request: (options: RequestOptions) => ClientRequest;
  readonly agent: Agent;
  readonly url: URL;
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly headers: Readonly<OutgoingHttpHeaders>;
  readonly body?: RequestBody | undefined;
  readonly delivery?: Delivery | undefined;
  /** Milliseconds left for the whole operation. */
  readonly remainingMs: () => number;
  /** Milliseconds of silence after which the other side counts as gone. */
  readonly idleMs: number;
  /** Milliseconds for connection and TLS handshake. */
  readonly connectMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called when all of the request was handed to the system. */
  readonly onSent?: (() => void) | undefined;
}

/** One request and its reply. Read it to its end (the connection is used again then), or close it. */
export interface Reply extends ByteSource {
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Ends the exchange; a reply that was not read to its end takes its connection with it. */
  close(): void;
}

/**
 * Sends one request and waits for the head of its reply. Whatever goes wrong, at whatever byte, ends in an
 * error: a cut connection by what node reports, silence by the idle timer, the rest by the deadline.
 * @throws KbError E_NETWORK, the abort reason, or what the body threw
 */
export async function exchange(options: ExchangeOptions): Promise<Reply> {
  const { url } = options;
  const request = options.request({
    protocol: url.protocol,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port,
    path: url.pathname + url.search,
    method: options.method,
    headers: bodyHeaders(options),
    agent: options.agent,
  });
  const watch = new Watch(request, options);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    // Stays attached: an error without a listener would end the process.
    request.on('error', reject);
  });
  const settled = answered.then(
    () => watch.stopSending(),
    () => watch.stopSending(),
  );
  try {
    await send(request, options, watch, settled);
    return new LiveReply(await answered.catch((error: unknown) => watch.rethrow(error)), url, watch);
  } catch (error) {
    watch.end();
    request.destroy();
    throw error;
  }
}

const MAX_DISCARD_BYTES = 65_536;

/** Reads a reply that nobody needs to its end, so that its connection can be used again; a long one is cut off. */
export async function discard(reply: Reply): Promise<void> {
  try {
    for (let size = 0; size <= MAX_DISCARD_BYTES;) {
      const chunk = await reply.read();
      if (chunk === undefined) return;
      size += chunk.length;
    }
  } finally {
    reply.close();
  }
}

function bodyHeaders(options: ExchangeOptions): OutgoingHttpHeaders {
  const length = options.body?.length;
  if (options.body === undefined) return { ...options.headers };
  return {
    ...options.headers,
    ...(length === undefined ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': String(length) }),
  };
}

/** Writes the body with back-pressure. The last chunk is held back until all before it is on its way. */
async function send(
  request: ClientRequest,
  options: ExchangeOptions,
  watch: Watch,
  settled: Promise<void>,
): Promise<void> {
  let held: Uint8Array | undefined;
  for (const chunk of options.body?.chunks ?? []) {
    if (held !== undefined && !request.write(held)) {
      await Promise.race([new Promise<void>((resolve) => request.once('drain', resolve)), settled]);
      watch.touch();
    }
    // An answer before the end of the body is a refusal: the rest would be sent to nobody.
    if (watch.sendingStopped) return;
    held = chunk;
  }
  options.body?.beforeLast?.();
  watch.sentAll();
  request.end(held, options.onSent);
}

/** Timers, abort and what is known about the delivery of one exchange. */
class Watch {
  sendingStopped = false;
  #failure: KbError | undefined;
  #lastActivity = monotonicMs();
  #timer: NodeJS.Timeout | undefined;
  #connected = false;
  #sentAll = false;
  #over = false;
  readonly #onAbort = (): void => this.#fail(abortError(this.options.signal?.reason));

  constructor(
    private readonly request: ClientRequest,
    private readonly options: ExchangeOptions,
  ) {
    request.once('socket', (socket) => {
      const isReady = request.reusedSocket || !socket.connecting;
      if (isReady) return this.#onConnected();
      socket.once(options.url.protocol === 'https:' ? 'secureConnect' : 'connect', () => this.#onConnected());
    });
    if (options.signal?.aborted === true) this.#onAbort();
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#arm();
  }

  touch(): void {
    this.#lastActivity = monotonicMs();
  }

  stopSending(): void {
    this.sendingStopped = true;
    this.touch();
  }

  sentAll(): void {
    this.#sentAll = true;
    this.touch();
    this.#noteDelivery();
  }

  end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.options.signal?.removeEventListener('abort', this.#onAbort);
    // A connection with half a request on it is of no use to the next one, which would wait for it for ever.
    if (!this.#sentAll) this.request.destroy();
  }

  /** The reason that this side had for ending the exchange, else what the connection reported. */
  rethrow(error: unknown): never {
    throw this.#failure ?? networkError(error, this.options.url.host);
  }

  #onConnected(): void {
    this.#connected = true;
    this.touch();
    this.#noteDelivery();
  }

  #noteDelivery(): void {
    if (this.options.delivery !== undefined && this.#connected && this.#sentAll) this.options.delivery.possible = true;
  }

  #arm(): void {
    if (this.#over) return;
    this.#timer = setTimeout(
      () => this.#check(),
      Math.max(1, Math.min(this.#silenceLeft(), this.options.remainingMs())),
    );
  }

  #silenceLeft(): number {
    const allowed = this.#connected ? this.options.idleMs : Math.min(this.options.connectMs, this.options.idleMs);
    return this.#lastActivity + allowed - monotonicMs();
  }

  #check(): void {
    if (this.options.remainingMs() <= 0) return this.#fail(this.#tooSlow('the time for the whole operation is over'));
    if (this.#silenceLeft() > 0) return this.#arm();
    // After long work of this process the bytes may be waiting to be read: look before giving up.
    setImmediate(() => {
      if (this.#over) return;
      if (this.#silenceLeft() > 0) return this.#arm();
      this.#fail(this.#tooSlow(this.#connected ? 'it went silent' : 'no connection came about'));
    });
  }

  #tooSlow(why: string): KbError {
    const { host } = this.options.url;
    return new KbError('E_NETWORK', `no reply from ${host} in time: ${why}`, { details: { host, timedOut: true } });
  }

  #fail(error: KbError): void {
    if (this.#over) return;
    this.#failure ??= error;
    this.request.destroy(error);
  }
}

class LiveReply implements Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly #chunks: AsyncIterator<Buffer>;
  #ended = false;

  constructor(
    private readonly message: IncomingMessage,
    readonly url: URL,
    private readonly watch: Watch,
  ) {
    this.status = message.statusCode ?? 0;
    this.headers = message.headers;
    this.#chunks = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    watch.touch();
  }

  async read(): Promise<Buffer | undefined> {
    if (this.#ended) return undefined;
    this.watch.touch();
    try {
      const next = await this.#chunks.next();
      this.watch.touch();
      if (next.done !== true) return next.value;
      this.#finish();
      return undefined;
    } catch (error) {
      this.#finish();
      this.watch.rethrow(error);
    }
  }

  close(): void {
    if (this.#ended) return;
    this.#finish();
    this.message.destroy();
  }

  #finish(): void {
    this.#ended = true;
    this.watch.end();
  }
}

function abortError(reason: unknown): KbError {
  if (reason instanceof KbError) return reason;
  return new KbError('E_INTERRUPTED', 'the transfer was stopped', { cause: reason });
}
