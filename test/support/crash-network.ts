import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { startGitServer, type GitServer } from './http-backend.js';

/** A request of a simulated process on its way to the remote. */
export interface Passing {
  /** The name of the process. */
  readonly from: string;
  /** 1: the first that it sent. */
  readonly number: number;
  readonly path: string;
}

/** `cut`: the connection ends here. A promise holds the request up. */
export type Verdict = 'pass' | 'cut';

export interface Watcher {
  /** The server has not seen the request yet. */
  before?(request: Passing): Verdict | Promise<Verdict>;
  /** The server has done all its work, and not a byte of the reply is on its way. */
  after?(request: Passing): Verdict | Promise<Verdict>;
}

/**
 * The network between simulated processes and a remote behind native git's own server: it knows each process by its
 * user name, and lets the test cut or hold up any request of it, right before the server sees it and right after.
 */
export class Network {
  watcher: Watcher = {};
  private readonly counts = new Map<string, number>();

  private constructor(
    private readonly backend: GitServer,
    private readonly server: Server,
  ) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.pass(request, response));
    server.on('connection', (socket) => socket.on('error', () => socket.destroy()));
  }

  /** @param root whose bare repositories are served, at `/NAME` */
  static async start(root: string): Promise<Network> {
    const network = new Network(await startGitServer({ root }), createServer());
    await new Promise<void>((resolve) => network.server.listen(0, '127.0.0.1', resolve));
    return network;
  }

  /** The address of the repository of that name. */
  urlOf(name: string): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/${name}`;
  }

  /** How many requests a process has sent. */
  sent(from: string): number {
    return this.counts.get(from) ?? 0;
  }

  /** All processes are new ones. */
  reset(): void {
    this.counts.clear();
    this.watcher = {};
  }

  async close(): Promise<void> {
    await this.backend.close();
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const body: Buffer[] = [];
    try {
      for await (const chunk of request) body.push(chunk as Buffer);
    } catch {
      return; // it was given up on the way
    }
    const from = userOf(request);
    const number = this.sent(from) + 1;
    this.counts.set(from, number);
    const passing = { from, number, path: request.url ?? '' };
    if ((await this.watcher.before?.(passing)) === 'cut') return void request.socket.destroy();
    const reply = await this.ask(request, Buffer.concat(body));
    if ((await this.watcher.after?.(passing)) === 'cut') return void request.socket.destroy();
    response.writeHead(reply.status, reply.headers).end(reply.body);
  }

  private ask(
    { method, url, headers }: IncomingMessage,
    body: Buffer,
  ): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const { 'transfer-encoding': _, connection: __, ...rest } = headers;
      const options = { method, headers: { ...rest, 'content-length': String(body.length) }, agent: false as const };
      const asked = httpRequest(`${this.backend.url}${url ?? ''}`, options, (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => {
          const { 'transfer-encoding': _t, connection: _c, ...kept } = reply.headers;
          resolve({ status: reply.statusCode ?? 500, headers: kept, body: Buffer.concat(chunks) });
        });
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }
}

function userOf({ headers }: IncomingMessage): string {
  const encoded = (headers.authorization ?? '').split(' ')[1] ?? '';
  return Buffer.from(encoded, 'base64').toString().split(':')[0] ?? '';
}
