import type { Remote } from '../remote/remote.js';
import type { Clock } from './surroundings.js';

/**
 * A distant server, or one over TLS, is not connected to sooner: the time until then is better used than waited out.
 * A remote that never says when a request has left is no nearer after it.
 */
const LEAVES_WITHIN_MS = 10;

/**
 * To be called right after something was asked: from when it resolves on, the time until the reply is free for other
 * work. Work that begins before keeps the request from leaving, as both are done by the same thread.
 */
export async function untilSent(remote: Remote, asked: Promise<unknown>, clock: Clock): Promise<void> {
  const sent = new Promise<void>((resolve) => (remote.onSent = resolve));
  const enough = new AbortController();
  const sleep = clock.sleep(LEAVES_WITHIN_MS, enough.signal);
  await Promise.race([sent, asked, sleep]).catch(() => undefined); // whoever asked is told what went wrong
  remote.onSent = undefined;
  sleep.catch(() => undefined);
  enough.abort();
}
