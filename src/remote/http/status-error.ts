import type { Credentials } from '../credentials.js';
import type { Reply } from './exchange.js';
import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';
import { describeCredentials } from '../credentials.js';
import { parseRetryAfter } from './session.js';

export interface StatusContext {
  readonly displayUrl: string;
  readonly credentials: Credentials;
  /** A redirect led to another origin, to which no credentials go. */
  readonly leftOrigin: boolean;
}

const MAX_EXPLANATION_BYTES = 4096;

/** The error for a reply that is not 200; reads the server's own explanation and ends the reply. */
export async function statusError(reply: Reply, context: StatusContext): Promise<KbError> {
  const explanation = await readExplanation(reply);
  const said = explanation === '' ? '' : `; it says: ${explanation}`;
  const { displayUrl } = context;
  const sent = context.leftOrigin
    ? 'a redirect led to another host, to which no credentials are sent'
    : describeCredentials(context.credentials);
  const details = { status: reply.status, url: displayUrl, sources: context.credentials.tried };
  switch (reply.status) {
    case 401:
      return new KbError('E_AUTH', `${displayUrl} wants other credentials: ${sent}${said}`, { details });
    case 403:
      return new KbError('E_AUTH', `${displayUrl} does not allow this: ${sent}${said}`, { details });
    case 404:
    case 410:
      return new KbError('E_AUTH', `${displayUrl}: not found, or not visible to these credentials: ${sent}${said}`, {
        details,
        hint: 'check the spelling of the URL, and that the token may read this repository',
      });
    case 429:
    case 503:
      return busyError(reply, displayUrl, said);
    default:
      return new KbError('E_NETWORK', `${displayUrl} answered with HTTP status ${reply.status}${said}`, {
        details,
        retryable: reply.status >= 500,
      });
  }
}

function busyError(reply: Reply, displayUrl: string, said: string): KbError {
  const retryAfterMs = parseRetryAfter(reply.headers['retry-after'], Date.now());
  const wish = retryAfterMs === undefined ? '' : ` and asks to come back in ${Math.ceil(retryAfterMs / 1000)} s`;
  return new KbError(
    'E_NETWORK',
    `${displayUrl} is busy or limits requests (HTTP status ${reply.status})${wish}${said}`,
    {
      details: { status: reply.status, url: displayUrl, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    },
  );
}

/** The beginning of a plain-text reply; a web page explains nothing on a terminal. */
async function readExplanation(reply: Reply): Promise<string> {
  if (!/^text\/plain\b/i.test(reply.headers['content-type'] ?? '')) {
    reply.close();
    return '';
  }
  const parts: Buffer[] = [];
  try {
    for (let size = 0; size < MAX_EXPLANATION_BYTES; size += parts.at(-1)?.length ?? 0) {
      const chunk = await reply.read();
      if (chunk === undefined) break;
      parts.push(chunk);
    }
  } catch {
    // the status alone says enough; its explanation was cut
  } finally {
    reply.close();
  }
  return printable(Buffer.concat(parts).toString('utf8').trim(), 300);
}
