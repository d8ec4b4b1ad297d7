import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';

export interface ForwardProxy {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  /** What it was asked for: `CONNECT host:port`, or `GET http://…`. */
  readonly asked: string[];
  /** Every header that it could read, as text. */
  readonly headers: string[];
  close(): Promise<void>;
}

export interface ForwardProxyOptions {
  /** `user:password` that it wants. */
  readonly login?: string;
  /** Serve `https://` with this key and certificate (PEM). */
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer };
  /** Answers every request with this status. */
  readonly status?: number;
}

/** A forwarding proxy on 127.0.0.1: tunnels for https (CONNECT), whole addresses for http. */
export async function startForwardProxy(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const [asked, headers, sockets] = [[] as string[], [] as string[], new Set<Socket>()];
  const refusal = (request: IncomingMessage): number | undefined => {
    asked.push(`${request.method} ${request.url}`);
    headers.push(JSON.stringify(request.headers));
    const wanted = options.login === undefined ? undefined : `Basic ${Buffer.from(options.login).toString('base64')}`;
    if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) return 407;
    return options.status;
  };
  const server: Server = options.tls === undefined ? createServer() : createSecureServer(options.tls);
  server.on('request', (request: IncomingMessage, response) => {
    const status = refusal(request);
    if (status !== undefined) return void response.writeHead(status).end('refused by the proxy');
    const { 'proxy-authorization': _, ...passed } = request.headers;
    const onward = httpRequest(new URL(request.url ?? ''), { method: request.method ?? 'GET', headers: passed });
    onward.on('response', (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => undefined);
    const status = refusal(request);
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\n\r\n`);
    const [host = '', port = ''] = (request.url ?? '').split(/:(?=\d+$)/);
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    headers,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
