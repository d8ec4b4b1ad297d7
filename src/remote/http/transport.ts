import { Agent, request as httpRequest, type ClientRequest, type RequestOptions } from 'node:http';
import * as https from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { KbError } from '../../errors.js';
import { networkError } from './network-error.js';
import { chooseProxy, type Proxy } from './proxy.js';
import type { SessionOptions, Transport } from './session-options.js';
import { pinProblem, type Pins } from './pinned-key.js';
import { pinnedKeys, tlsSettings, type TlsSettings } from './tls-settings.js';

/** For the way to the proxy and its answer, ms. */
const PROXY_MS = 30_000;

/**
 * Connections to an address as the user has set them up: through a proxy, with authorities and a certificate of one's
 * own. Loaded only where any of it is set.
 * @throws KbError E_USAGE, E_AUTH
 */
export async function openTransport(
  url: URL,
  options: SessionOptions,
  settings: { readonly keepAlive: boolean; readonly maxSockets: number; readonly maxFreeSockets: number },
): Promise<Transport> {
  const proxy = chooseProxy(url, options.settings, options.env);
  const tls = url.protocol === 'https:' || proxy?.protocol === 'https:' ? await tlsSettings(url, options) : undefined;
  const pins = url.protocol === 'https:' ? pinnedKeys(url, options) : undefined;
  if (proxy === undefined) {
    if (url.protocol === 'http:') return { agent: new Agent(settings), request: httpRequest };
    if (pins !== undefined) return pinned(pins, url.host, new https.Agent({ ...settings, ...tls }));
    return { agent: new https.Agent({ ...settings, ...tls }), request: https.request };
  }
  if (url.protocol === 'https:') return tunnel(proxy, new https.Agent({ ...settings, ...tls }), { tls, pins });
  return forwarded(
    proxy,
    url,
    proxy.protocol === 'https:' ? new https.Agent({ ...settings, ...tls }) : new Agent(settings),
  );
}

/** Plain http: the proxy gets the whole address and passes the request on. Source: RFC 9112, 3.2.2 */
function forwarded(proxy: Proxy, url: URL, agent: Agent): Transport {
  const send = proxy.protocol === 'https:' ? https.request : httpRequest;
  return {
    agent,
    proxy,
    request: (options) =>
      send({
        ...options,
        protocol: proxy.protocol,
        hostname: proxy.hostname,
        port: proxy.port,
        path: `${url.origin}${options.path ?? '/'}`,
        headers: {
          ...(options.headers as Record<string, string>),
          Host: url.host,
          ...(proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization }),
        },
      }),
  };
}

/** https: the proxy only passes bytes on (CONNECT), and cannot read them. Source: RFC 9110, 9.3.6 */
function tunnel(
  proxy: Proxy,
  agent: https.Agent,
  { tls, pins }: { readonly tls: TlsSettings | undefined; readonly pins: Pins | undefined },
): Transport {
  const open = new Set<Socket | ClientRequest>();
  const connecting: Connecting = (options, done) => {
    void openTunnel(proxy, `${String(options.host)}:${String(options.port)}`, tls, open).then(
      (socket) => void secure({ ...options, socket }, String(options.host), pins, done),
      (error: unknown) => done(error as Error),
    );
  };
  connectBy(agent, connecting, open);
  return { agent, proxy, request: https.request };
}

/** Straight to a host that must have a certain key. */
function pinned(pins: Pins, host: string, agent: https.Agent): Transport {
  const open = new Set<Socket>();
  const connecting: Connecting = (options, done) => {
    const socket = secure(options, host, pins, done);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };
  connectBy(agent, connecting, open);
  return { agent, request: https.request };
}

/**
 * Invariant: a request gets its connection only when the other side has proved who it is; until then nothing of it, and
 * no credentials, can leave. No session is taken up again, for then nothing would be proved.
 * (Broken by: test/integration/http-tls.test.ts, "http.pinnedPubkey")
 */
function secure(options: ConnectionOptions, host: string, pins: Pins | undefined, done: Done): TLSSocket {
  const socket = connectTls({ ...options, ...(pins === undefined ? {} : { session: undefined }) });
  const fail = (error: Error): void => done(error);
  socket.once('error', fail);
  socket.once('secureConnect', () => {
    socket.off('error', fail);
    const problem = pins === undefined ? undefined : pinProblem(socket, pins, host);
    if (problem === undefined) return done(null, socket);
    socket.on('error', () => undefined); // its end is of no interest any more
    socket.destroy();
    done(problem);
  });
  return socket;
}

/** Node calls this for each new connection; its declared type knows only the form that gives one at once. */
function connectBy(agent: https.Agent, connecting: Connecting, open: Iterable<{ destroy(): unknown }>): void {
  (agent as unknown as { createConnection: Connecting }).createConnection = connecting;
  const destroy = agent.destroy.bind(agent);
  agent.destroy = () => {
    destroy();
    for (const one of open) one.destroy();
  };
}

type Done = (error: Error | null, socket?: Socket) => void;
type Connecting = (options: ConnectionOptions, done: Done) => void;

function openTunnel(
  proxy: Proxy,
  target: string,
  tls: TlsSettings | undefined,
  open: Set<Socket | ClientRequest>,
): Promise<Socket> {
  const asked: RequestOptions & ConnectionOptions = {
    host: proxy.hostname,
    port: Number(proxy.port),
    method: 'CONNECT',
    path: target,
    agent: false,
    headers: {
      Host: target,
      ...(proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization }),
    },
  };
  const request =
    proxy.protocol === 'https:'
      ? https.request({ ...asked, ...tls, cert: undefined, key: undefined })
      : httpRequest(asked);
  open.add(request);
  return new Promise<Socket>((resolve, reject) => {
    request.setTimeout(PROXY_MS, () =>
      request.destroy(new KbError('E_NETWORK', `the proxy ${proxy.display} is silent`)),
    );
    request.once('connect', (response, socket) => {
      open.delete(request);
      if (response.statusCode === 200) {
        open.add(socket);
        socket.once('close', () => open.delete(socket));
        socket.setTimeout(0);
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(refusedBy(proxy, response.statusCode ?? 0));
    });
    request.once('response', (response) => {
      response.destroy();
      reject(refusedBy(proxy, response.statusCode ?? 0));
    });
    request.on('error', (error) => reject(proxyError(proxy, error)));
    request.end();
  });
}

function proxyError(proxy: Proxy, error: Error): KbError {
  if (error instanceof KbError) return error;
  const { message, details, retryable } = networkError(error, `the proxy ${proxy.display}`);
  return new KbError('E_NETWORK', message, {
    cause: error,
    details: { ...details, proxy: proxy.display },
    retryable,
    hint: `check ${proxy.source}, or name the host in NO_PROXY if no proxy is needed`,
  });
}

/** What a proxy answered in the place of the host. */
export function refusedBy(proxy: Proxy, status: number): KbError {
  const details = { proxy: proxy.display, status };
  if (status === 407) {
    const sent = proxy.authorization === undefined ? 'none were found' : 'those that were sent were refused';
    return new KbError('E_AUTH', `the proxy ${proxy.display} wants credentials: ${sent} (looked at ${proxy.source})`, {
      details,
      hint: `put them into ${proxy.source} as http://user:password@host:port`,
    });
  }
  return new KbError('E_NETWORK', `the proxy ${proxy.display} answered with HTTP status ${status}`, {
    details,
    hint: `check ${proxy.source}, and that the proxy may reach this host`,
  });
}
