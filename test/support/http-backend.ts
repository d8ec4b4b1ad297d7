import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';

/**
 * Native git's own smart HTTP server (`git http-backend`, a CGI program) behind a small Node server on
 * 127.0.0.1, with everything that can go wrong between a client and a real host available on demand.
 *
 * ```ts
 * const server = await startGitServer({ root });            // root holds bare repositories
 * const repository = createBareRepository(root, 'kb.git');
 * server.url                                                // http://127.0.0.1:PORT
 * server.faults = (request) => (request.number === 2 ? { kind: 'status', status: 500 } : undefined);
 * await server.close();
 * ```
 */
export interface GitServerOptions {
  /** Directory whose bare repositories are served, at `/NAME`. */
  readonly root: string;
  /** Ask for these (HTTP Basic); a token is accepted with any user name. */
  readonly auth?: { readonly token: string } | { readonly username: string; readonly password: string };
  /** Milliseconds that each request waits before it is worked on. */
  readonly latencyMs?: number;
  /** Never tell git that the client asked for protocol v2. */
  readonly protocolV0Only?: boolean;
  /** Which requests go wrong, and how. Can be changed later: {@link GitServer.faults}. */
  readonly faults?: Faults;
  /** Serve `https://` with this key and certificate (PEM). */
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer };
  /** Keep each reply of git in {@link ServedRequest.reply}, to be given again by the fault `replay`. */
  readonly recordReplies?: boolean;
  /** More variables for git, such as `GIT_CONFIG_COUNT`. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface ServedRequest {
  /** 1 for the first since the start, or since {@link GitServer.reset}. */
  readonly number: number;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Which connection it came on, 1 for the first. */
  readonly connection: number;
  /** What was answered; undefined while it is worked on, or if the connection was dropped before. */
  status?: number;
  /** Bytes of the request's body, as sent (compressed or not). */
  bodyBytes: number;
  /** What git answered, if replies are recorded. */
  reply?: { readonly contentType: string; readonly body: Buffer };
}

export type Fault =
  /** Answered without asking git. The request's body is read first. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | { readonly kind: 'redirect'; readonly location: string; readonly status?: number }
  /** The connection is cut after so many bytes of the reply's body; a shorter reply passes unharmed. */
  | { readonly kind: 'cut'; readonly at: number }
  /** A recorded reply instead of git's, cut after so many bytes (not at all without `cutAt`): fast, for many cuts. */
  | { readonly kind: 'replay'; readonly of: ServedRequest; readonly cutAt?: number }
  /** Git does all its work, then the connection is cut without a byte of reply: accepted, reply lost. */
  | { readonly kind: 'lose-reply' }
  /** The connection is cut before git sees anything. */
  | { readonly kind: 'reset' }
  /** No answer, ever. */
  | { readonly kind: 'stall' };

export type Faults = (request: ServedRequest) => Fault | undefined;

export interface GitServer {
  /** `http://127.0.0.1:PORT` (`https://` with `tls`), without trailing slash. */
  readonly url: string;
  /** Every request so far, in order of arrival. */
  readonly requests: readonly ServedRequest[];
  /** TCP connections accepted so far. */
  readonly connections: number;
  faults: Faults | undefined;
  latencyMs: number;
  /** Forgets requests and connections so far: the next request is number 1 again. */
  reset(): void;
  /** Cuts the idle connections, as a server's keep-alive timeout does. */
  dropConnections(): void;
  close(): Promise<void>;
}

/** Starts the server on a free port. It ends with `close()`, its git processes with it. */
export async function startGitServer(options: GitServerOptions): Promise<GitServer> {
  const server = new BackendServer(options);
  await server.listen();
  return server;
}

class BackendServer implements GitServer {
  faults: Faults | undefined;
  latencyMs: number;
  readonly #requests: ServedRequest[] = [];
  #connections = 0;
  readonly #sockets = new Map<Socket, number>();
  readonly #children = new Set<ChildProcess>();
  readonly #server: Server;

  constructor(private readonly options: GitServerOptions) {
    this.faults = options.faults;
    this.latencyMs = options.latencyMs ?? 0;
    const listener = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#server = options.tls === undefined ? createServer(listener) : createSecureServer(options.tls, listener);
    this.#server.keepAliveTimeout = 60_000;
    this.#server.requestTimeout = 0;
    this.#server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#connections += 1;
      this.#sockets.set(socket, this.#connections);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `${this.options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get requests(): readonly ServedRequest[] {
    return this.#requests;
  }

  get connections(): number {
    return this.#connections;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  reset(): void {
    this.#requests.length = 0;
    this.#connections = 0;
  }

  dropConnections(): void {
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    this.dropConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const served: ServedRequest = {
      number: this.#requests.length + 1,
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      connection: this.#sockets.get(request.socket) ?? 0,
      bodyBytes: 0,
    };
    this.#requests.push(served);
    request.on('error', () => undefined);
    if (this.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, this.latencyMs));
    const fault = this.faults?.(served);
    if (fault?.kind === 'stall') return;
    if (fault?.kind === 'reset') return void request.socket.destroy();
    const plain = this.#answerWithoutGit(request, fault);
    if (plain !== undefined) {
      for await (const chunk of request) served.bodyBytes += (chunk as Buffer).length;
      served.status = plain.status;
      response.writeHead(plain.status, plain.headers).end(plain.body);
      return;
    }
    request.on('data', (chunk: Buffer) => (served.bodyBytes += chunk.length));
    if (fault?.kind === 'replay') {
      request.on('end', () => replay(fault, response, served));
      return;
    }
    this.#runBackend(request, response, served, fault);
  }

  #answerWithoutGit(
    request: IncomingMessage,
    fault: Fault | undefined,
  ): { status: number; headers: Record<string, string>; body: string } | undefined {
    if (fault?.kind === 'status') {
      return {
        status: fault.status,
        headers: { 'Content-Type': 'text/plain', ...fault.headers },
        body: fault.body ?? '',
      };
    }
    if (fault?.kind === 'redirect')
      return { status: fault.status ?? 302, headers: { Location: fault.location }, body: '' };
    if (this.#isAllowed(request)) return undefined;
    return {
      status: 401,
      headers: { 'WWW-Authenticate': 'Basic realm="kb test"', 'Content-Type': 'text/plain' },
      body: 'credentials wanted',
    };
  }

  #isAllowed(request: IncomingMessage): boolean {
    const { auth } = this.options;
    if (auth === undefined) return true;
    const [scheme, encoded] = (request.headers.authorization ?? '').split(' ');
    if (scheme !== 'Basic' || encoded === undefined) return false;
    const given = Buffer.from(encoded, 'base64').toString();
    const colon = given.indexOf(':');
    if ('token' in auth) return given.slice(colon + 1) === auth.token;
    return given === `${auth.username}:${auth.password}`;
  }

  #runBackend(
    request: IncomingMessage,
    response: ServerResponse,
    served: ServedRequest,
    fault: Fault | undefined,
  ): void {
    // Not through `git`, which would be all that `kill` reaches.
    const child = spawn(httpBackend(), [], {
      env: this.#cgiEnvironment(request),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    // git 2.39 never ends, and spins, when less comes in than CONTENT_LENGTH has promised.
    request.on('close', () => {
      if (!request.complete) child.kill('SIGKILL');
    });
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    child.stdin.on('error', () => undefined); // git may answer without reading all
    request.pipe(child.stdin);
    response.on('error', () => undefined);
    const reply = new CgiReply(
      response,
      served,
      fault?.kind === 'cut' ? fault.at : Infinity,
      this.options.recordReplies === true,
    );
    if (fault?.kind === 'lose-reply') {
      child.stdout.resume();
      child.on('close', () => request.socket.destroy());
      return;
    }
    child.stdout.on('data', (chunk: Buffer) => {
      if (reply.write(chunk)) return;
      child.stdout.pause();
      response.once('drain', () => child.stdout.resume());
    });
    child.stdout.on('end', () => reply.end());
  }

  /** RFC 3875 and git-http-backend(1), "ENVIRONMENT". */
  #cgiEnvironment(request: IncomingMessage): NodeJS.ProcessEnv {
    const { pathname, search } = new URL(request.url ?? '/', 'http://127.0.0.1');
    const { headers } = request;
    const protocol = headers['git-protocol'];
    return {
      PATH: process.env['PATH'],
      HOME: this.options.root,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_PROJECT_ROOT: this.options.root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      REMOTE_ADDR: '127.0.0.1',
      // With a user, git lets pushes in without `http.receivepack`.
      REMOTE_USER: 'tester',
      GIT_COMMITTER_NAME: 'server',
      GIT_COMMITTER_EMAIL: 'server@example.com',
      ...(headers['content-type'] === undefined ? {} : { CONTENT_TYPE: headers['content-type'] }),
      ...(headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: headers['content-length'] }),
      ...(headers['content-encoding'] === undefined ? {} : { HTTP_CONTENT_ENCODING: headers['content-encoding'] }),
      ...(typeof protocol === 'string' && this.options.protocolV0Only !== true ? { GIT_PROTOCOL: protocol } : {}),
      ...this.options.env,
    };
  }
}

/** Turns CGI output (headers, blank line, body) into an HTTP reply while it comes in. */
class CgiReply {
  #head: Buffer | undefined = Buffer.alloc(0);
  #left: number;
  readonly #recorded: Buffer[] = [];

  constructor(
    private readonly response: ServerResponse,
    private readonly served: ServedRequest,
    cutAt: number,
    private readonly isRecorded: boolean,
  ) {
    this.#left = cutAt;
  }

  /** @returns false when the client should get time to read */
  write(chunk: Buffer): boolean {
    if (this.#head === undefined) return this.#body(chunk);
    this.#head = Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return true;
    const lines = this.#head.toString('latin1', 0, end).split('\r\n');
    const rest = this.#head.subarray(end + 4);
    this.#head = undefined;
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon);
      const value = line.slice(colon + 1).trim();
      if (name.toLowerCase() === 'status') this.response.statusCode = Number.parseInt(value, 10);
      else this.response.setHeader(name, value);
    }
    this.served.status = this.response.statusCode;
    this.response.flushHeaders();
    return this.#body(rest);
  }

  end(): void {
    if (this.#head !== undefined) this.response.statusCode = this.served.status = 500;
    if (this.isRecorded) {
      const contentType = String(this.response.getHeader('content-type') ?? '');
      this.served.reply = { contentType, body: Buffer.concat(this.#recorded) };
    }
    if (!this.response.destroyed) this.response.end();
  }

  #body(chunk: Buffer): boolean {
    if (this.response.destroyed || this.#left < 0) return true;
    if (this.isRecorded) this.#recorded.push(chunk);
    if (chunk.length <= this.#left) {
      this.#left -= chunk.length;
      return chunk.length === 0 || this.response.write(chunk);
    }
    const { socket } = this.response;
    const last = chunk.subarray(0, this.#left);
    this.#left = -1;
    // The bytes before the cut must arrive: cut only when they are on their way.
    if (last.length === 0) setImmediate(() => socket?.destroySoon());
    else this.response.write(last, () => socket?.destroySoon());
    return true;
  }
}

function replay(
  fault: { readonly of: ServedRequest; readonly cutAt?: number },
  response: ServerResponse,
  served: ServedRequest,
): void {
  const { of, cutAt = Infinity } = fault;
  if (of.reply === undefined) throw new Error('this reply was not recorded');
  const cgi = `Status: ${of.status ?? 200}\r\nContent-Type: ${of.reply.contentType}\r\n\r\n`;
  const reply = new CgiReply(response, served, cutAt, false);
  reply.write(Buffer.concat([Buffer.from(cgi), of.reply.body]));
  if (cutAt >= of.reply.body.length) reply.end();
}

/** Makes a bare repository in the served directory. @returns its path */
export function createBareRepository(root: string, name: string, ...config: readonly string[]): string {
  const path = join(root, name);
  mkdirSync(root, { recursive: true });
  const env = { PATH: process.env['PATH'], HOME: root, GIT_CONFIG_NOSYSTEM: '1' };
  execFileSync('git', ['-c', 'init.defaultBranch=main', 'init', '--quiet', '--bare', path], { env });
  for (const setting of config) {
    const equals = setting.indexOf('=');
    execFileSync('git', ['-C', path, 'config', setting.slice(0, equals), setting.slice(equals + 1)], { env });
  }
  return path;
}

/** Puts a shell script into a bare repository as a hook, such as `pre-receive`. */
export function installHook(repository: string, name: string, script: string): void {
  const path = join(repository, 'hooks', name);
  mkdirSync(join(repository, 'hooks'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** Whether native git with its http-backend is there; tests that need it are skipped by it. */
export function hasGitHttpBackend(): boolean {
  try {
    return existsSync(httpBackend());
  } catch {
    return false;
  }
}

let programPath: string | undefined;

function httpBackend(): string {
  programPath ??= join(execFileSync('git', ['--exec-path'], { encoding: 'utf8' }).trim(), 'git-http-backend');
  return programPath;
}
