import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { startGitServer } from '../test/support/http-backend.js';

/** The process behind GitServer. Its parent asks for figures and sets the latency by messages. */
const server = await startGitServer({ root: process.argv[2] ?? '.' });

let busyMs = 0;
let firstAt: number | undefined;
const started = new WeakMap<IncomingMessage, number>();
subscribe('http.server.request.start', (message) => {
  const now = performance.now();
  firstAt ??= performance.timeOrigin + now;
  started.set((message as { request: IncomingMessage }).request, now);
});
subscribe('http.server.response.finish', (message) => {
  const { request } = message as { request: IncomingMessage; response: ServerResponse };
  busyMs += performance.now() - (started.get(request) ?? NaN);
});

process.on('message', (message: { readonly latency?: number }) => {
  if (message.latency !== undefined) server.latencyMs = message.latency;
  process.send?.({ requests: server.requests.length, connections: server.connections, busyMs, firstAt });
  server.reset();
  busyMs = 0;
  firstAt = undefined;
});
process.on('disconnect', () => void server.close());

process.send?.(server.url);
