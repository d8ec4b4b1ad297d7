import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What goes wrong with one request. Bytes count from the first of the request's or reply's head. */
export type ProxyFault =
  /** Everything waits so long, milliseconds, before it reaches the server. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Answered here; the server never sees it. */
  | { readonly kind: 'status'; readonly status: 429 | 500; readonly retryAfterS?: number }
  /** The server gets so many bytes of the request, then both sides lose the connection. */
  | { readonly kind: 'cut-request'; readonly at: number }
  /** The server does its work; the client gets so many bytes of the reply. A shorter reply passes unharmed. */
  | { readonly kind: 'cut-reply'; readonly at: number }
  /** A push that the server accepts is never answered; any other reply passes unharmed. */
  | { readonly kind: 'lose-reply' };

export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
}

export type FaultChoice = (request: ProxiedRequest) => ProxyFault | undefined;

const PAST_REPORT = /(?:ok|ng) refs\//;
const ACCEPTED = /ok refs\//;

/**
 * Stands between git clients and a git server on 127.0.0.1 and lets requests go wrong, byte by byte: it relays TCP,
 * and of HTTP knows only where a request begins (with the first byte of the client after a reply; nobody pipelines).
 */
export class FaultProxy {
  /** How many requests each kind of fault has hit; one that came too late to do harm does not count. */
  readonly hits = new Map<ProxyFault['kind'], number>();
  requests = 0;
  /** Undefined: nothing goes wrong. May be changed at any time; connections that are open follow. */
  faults: FaultChoice | undefined;
  readonly #relays = new Set<Relay>();
  readonly #server: Server;

  private constructor(private readonly targetPort: number) {
    this.#server = createServer((client) => {
      const relay = new Relay(client, this.targetPort, this);
      this.#relays.add(relay);
      client.once('close', () => this.#relays.delete(relay));
    });
  }

  static async start(targetUrl: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(Number(new URL(targetUrl).port));
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** `http://127.0.0.1:PORT`, without trailing slash. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const relay of this.#relays) relay.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  choose(request: ProxiedRequest): ProxyFault | undefined {
    this.requests += 1;
    return this.faults?.(request);
  }

  hit(kind: ProxyFault['kind']): void {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1);
  }
}

/** One connection of a client, and the one to the server that belongs to it. */
class Relay {
  readonly #server: Socket;
  #inReply = true; // so that the first bytes begin a request
  #fault: ProxyFault | undefined;
  /** Bytes that still pass, in the direction that the fault cuts. */
  #left = Infinity;
  /** What waits: a request for its delay, or a reply that may have to be lost. */
  #held: Buffer[] | undefined;

  constructor(
    private readonly client: Socket,
    targetPort: number,
    private readonly proxy: FaultProxy,
  ) {
    this.#server = connect(targetPort, '127.0.0.1');
    // Killed clients and cut servers are the daily bread here: what one side loses, the other loses too.
    for (const socket of [client, this.#server]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.cut());
      socket.on('close', () => this.cut());
    }
    client.on('data', (chunk: Buffer) => this.#fromClient(chunk));
    client.on('end', () => this.#server.end());
    this.#server.on('data', (chunk: Buffer) => this.#fromServer(chunk));
    this.#server.on('end', () => this.client.end());
  }

  cut(): void {
    this.client.destroy();
    this.#server.destroy();
  }

  #fromClient(chunk: Buffer): void {
    if (this.#inReply) this.#begin(chunk);
    const fault = this.#fault;
    if (fault?.kind === 'status') return; // answered; the rest of the request is for nobody
    if (fault?.kind === 'delay' && this.#held !== undefined) return void this.#held.push(chunk);
    if (fault?.kind !== 'cut-request' || chunk.length < this.#left) {
      this.#left -= chunk.length;
      this.#server.write(chunk);
      return;
    }
    this.proxy.hit('cut-request');
    const last = chunk.subarray(0, this.#left);
    this.#server.end(last, () => this.cut());
  }

  #begin(firstChunk: Buffer): void {
    const [method = '', path = ''] = firstChunk.toString('latin1', 0, firstChunk.indexOf('\r\n')).split(' ');
    const fault = this.proxy.choose({ method, path });
    this.#inReply = false;
    this.#fault = fault;
    this.#held = undefined;
    this.#left = Infinity;
    switch (fault?.kind) {
      case undefined:
        return;
      case 'delay':
        this.proxy.hit('delay');
        this.#held = [];
        setTimeout(() => this.#release(this.#server), fault.ms);
        return;
      case 'status':
        return this.#answer(fault.status, fault.retryAfterS);
      case 'cut-request':
      case 'cut-reply':
        this.#left = fault.at;
        return;
      case 'lose-reply':
        this.#held = [];
        return;
    }
  }

  #answer(status: number, retryAfterS: number | undefined): void {
    this.proxy.hit('status');
    const retryAfter = retryAfterS === undefined ? '' : `Retry-After: ${retryAfterS}\r\n`;
    const body = 'the storm says no\n';
    this.client.end(
      `HTTP/1.1 ${status} Storm\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n${retryAfter}Connection: close\r\n\r\n${body}`,
    );
  }

  #fromServer(chunk: Buffer): void {
    this.#inReply = true;
    switch (this.#fault?.kind) {
      case 'cut-reply':
        if (chunk.length < this.#left) break;
        this.proxy.hit('cut-reply');
        this.client.end(chunk.subarray(0, this.#left), () => this.cut());
        return;
      case 'lose-reply':
        return this.#perhapsLose(chunk);
      default:
    }
    this.#left -= chunk.length;
    this.client.write(chunk);
  }

  #perhapsLose(chunk: Buffer): void {
    if (this.#held === undefined) return void this.client.write(chunk);
    this.#held.push(chunk);
    const reply = Buffer.concat(this.#held).toString('latin1');
    if (ACCEPTED.test(reply)) {
      this.proxy.hit('lose-reply');
      this.cut();
    } else if (PAST_REPORT.test(reply) || reply.endsWith('\r\n0\r\n\r\n') || !/^HTTP\/1\.1 200 /.test(reply)) {
      this.#release(this.client);
    }
  }

  #release(to: Socket): void {
    for (const chunk of this.#held ?? []) to.write(chunk);
    this.#held = undefined;
  }
}
