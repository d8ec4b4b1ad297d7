import { createHash } from 'node:crypto';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/**
 * A small LFS server on 127.0.0.1, written by git-lfs's documents of the batch API (docs/api/batch.md) and of basic
 * transfers (docs/api/basic-transfers.md). Objects are in memory. What is not LFS goes on to a git server, so that both
 * are at one address, as at the hosts that people use.
 *
 * ```ts
 * const lfs = await startLfsServer({ git: gitServer.url, token: 'secret' });
 * lfs.url                                   // http://127.0.0.1:PORT, serves /NAME.git and /NAME.git/info/lfs
 * lfs.faults = (request) => (request.method === 'PUT' ? { status: 500 } : undefined);
 * ```
 */
export interface LfsServerOptions {
  /** Where requests that are not LFS go on to; without it they are 404. */
  readonly git?: string;
  /** Asked for with the batch API (HTTP Basic, any user name), and also with transfers unless `signed`. */
  readonly token?: string;
  /** Addresses of transfers come with a header of their own that must be sent. */
  readonly signed?: string;
  /** Where objects are stored: another server's address. Default: this one. */
  readonly storage?: string;
  /** Uploads are to be verified. Default true. */
  readonly verify?: boolean;
  /** Milliseconds that each request waits before it is answered. */
  readonly latencyMs?: number;
}

export interface LfsRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Of the batch API, parsed. */
  body?: BatchBody;
  status?: number;
}

interface BatchBody {
  readonly operation: string;
  readonly transfers?: readonly string[];
  readonly ref?: { readonly name: string };
  readonly hash_algo?: string;
  readonly objects: readonly { readonly oid: string; readonly size: number }[];
}

export interface LfsFault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The reply's body is cut after so many bytes. */
  readonly cutAt?: number;
}

export interface LfsServer {
  readonly url: string;
  readonly objects: Map<string, Buffer>;
  /** Those about LFS so far. */
  readonly requests: LfsRequest[];
  faults: ((request: LfsRequest) => LfsFault | undefined) | undefined;
  /** Changes the answer for one object of the batch API. */
  answer: ((object: Record<string, unknown>, operation: string) => Record<string, unknown>) | undefined;
  /** Most transfers that were under way at the same time. */
  readonly mostAtOnce: number;
  put(content: Buffer): { oid: string; size: number };
  close(): Promise<void>;
}

const TYPE = 'application/vnd.git-lfs+json';

export async function startLfsServer(options: LfsServerOptions = {}): Promise<LfsServer> {
  const server = new MemoryLfsServer(options);
  await server.listen();
  return server;
}

class MemoryLfsServer implements LfsServer {
  readonly objects = new Map<string, Buffer>();
  readonly requests: LfsRequest[] = [];
  faults: LfsServer['faults'];
  answer: LfsServer['answer'];
  mostAtOnce = 0;
  #atOnce = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  constructor(private readonly options: LfsServerOptions) {
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  put(content: Buffer): { oid: string; size: number } {
    const oid = createHash('sha256').update(content).digest('hex');
    this.objects.set(oid, content);
    return { oid, size: content.length };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const isLfs = /\/info\/lfs\/|^\/(storage|verify)\b/.test(path);
    if (!isLfs && this.options.git !== undefined) return this.#passOn(request, response, this.options.git);
    const seen: LfsRequest = { method: request.method ?? '', path, headers: request.headers };
    this.requests.push(seen);
    this.#atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
    try {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const body = Buffer.concat(parts);
      if (path.endsWith('/objects/batch')) seen.body = parseBody(body);
      const { latencyMs } = this.options;
      if (latencyMs !== undefined) await new Promise((resolve) => setTimeout(resolve, latencyMs));
      const fault = this.faults?.(seen);
      if (fault?.status !== undefined)
        return this.#reply(response, seen, fault.status, fault.body ?? '', fault.headers ?? {});
      if (path.endsWith('/objects/batch')) this.#batch(response, seen);
      else if (path.startsWith('/storage/')) this.#storage(response, seen, body, fault);
      else if (path.startsWith('/verify')) this.#verify(response, seen, body);
      else this.#reply(response, seen, 404, '{"message":"no such thing"}', { 'Content-Type': TYPE });
    } catch {
      response.destroy(); // the client has cut its request
    } finally {
      this.#atOnce -= 1;
    }
  }

  #batch(response: ServerResponse, seen: LfsRequest): void {
    const { token, verify = true } = this.options;
    if (token !== undefined && !this.#hasToken(seen, token)) {
      return this.#reply(response, seen, 401, '{"message":"credentials wanted"}', {
        'Content-Type': TYPE,
        'LFS-Authenticate': 'Basic realm="lfs test"',
        'WWW-Authenticate': 'Basic realm="lfs test"',
      });
    }
    const { body } = seen;
    if (seen.method !== 'POST' || seen.headers.accept?.startsWith(TYPE) !== true || body === undefined)
      return this.#reply(response, seen, 406, '');
    const objects = body.objects.map(({ oid, size }) => {
      const plain = this.#answerFor(body.operation, oid, size, verify);
      return this.answer?.(plain, body.operation) ?? plain;
    });
    this.#reply(response, seen, 200, JSON.stringify({ transfer: 'basic', objects, hash_algo: 'sha256' }), {
      'Content-Type': TYPE,
    });
  }

  #answerFor(operation: string, oid: string, size: number, verify: boolean): Record<string, unknown> {
    const { signed, storage = this.url } = this.options;
    const header = signed === undefined ? {} : { header: { Authorization: signed } };
    const isHere = this.objects.has(oid);
    if (operation === 'download') {
      if (!isHere) return { oid, size, error: { code: 404, message: 'Object does not exist' } };
      return { oid, size, actions: { download: { href: `${storage}/storage/${oid}?signature=hush`, ...header } } };
    }
    if (isHere) return { oid, size };
    const actions = {
      upload: { href: `${storage}/storage/${oid}?signature=hush`, ...header },
      ...(verify ? { verify: { href: `${this.url}/verify/${oid}`, ...header } } : {}),
    };
    return { oid, size, actions };
  }

  #storage(response: ServerResponse, seen: LfsRequest, body: Buffer, fault: LfsFault | undefined): void {
    const { signed, token } = this.options;
    const isAllowed =
      signed === undefined ? token === undefined || this.#hasToken(seen, token) : seen.headers.authorization === signed;
    if (!isAllowed) return this.#reply(response, seen, 403, '');
    const oid = /^\/storage\/([0-9a-f]{64})/.exec(seen.path)?.[1] ?? '';
    if (seen.method === 'PUT') {
      const isRight = createHash('sha256').update(body).digest('hex') === oid;
      if (isRight) this.objects.set(oid, body);
      return this.#reply(response, seen, isRight ? 200 : 422, '');
    }
    const content = this.objects.get(oid);
    if (content === undefined) return this.#reply(response, seen, 404, '');
    if (fault?.cutAt === undefined) return this.#reply(response, seen, 200, content);
    seen.status = 200;
    response.writeHead(200, { 'Content-Length': content.length });
    response.write(content.subarray(0, fault.cutAt), () => response.destroy());
  }

  #verify(response: ServerResponse, seen: LfsRequest, body: Buffer): void {
    const { oid, size } = JSON.parse(body.toString()) as { oid: string; size: number };
    this.#reply(response, seen, this.objects.get(oid)?.length === size ? 200 : 404, '{}', { 'Content-Type': TYPE });
  }

  #hasToken(seen: LfsRequest, token: string): boolean {
    const [scheme, encoded = ''] = (seen.headers.authorization ?? '').split(' ');
    return scheme === 'Basic' && Buffer.from(encoded, 'base64').toString().split(':')[1] === token;
  }

  #reply(
    response: ServerResponse,
    seen: LfsRequest,
    status: number,
    body: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    seen.status = status;
    response.writeHead(status, headers).end(body);
  }

  #passOn(request: IncomingMessage, response: ServerResponse, git: string): void {
    const target = new URL(request.url ?? '/', git);
    const onward = httpRequest(target, { method: request.method ?? 'GET', headers: request.headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
      reply.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  }
}

function parseBody(body: Buffer): BatchBody {
  return JSON.parse(body.toString()) as BatchBody;
}
