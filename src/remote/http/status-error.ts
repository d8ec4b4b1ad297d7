import type { Reply } from './exchange.js';
import { KbError, type ErrorDetails } from '../../errors.js';
import { printable } from '../../printable.js';
import { isUsedUp, rateLimitMs } from './rate-limit.js';

export interface StatusContext {
  readonly displayUrl: string;
  /** Which credentials were sent and where was looked for some. */
  readonly credentials: { readonly tried: readonly string[]; describe(): string };
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
    : context.credentials.describe();
  const details = { status: reply.status, url: displayUrl, sources: context.credentials.tried };
  switch (reply.status) {
    case 401:
      return new KbError('E_AUTH', `${displayUrl} wants other credentials: ${sent}${said}`, {
        details,
        hint: 'see where credentials may stand, and in which order they are tried: kb help auth',
      });
    case 403:
      return forbidden(reply, displayUrl, sent, explanation, details);
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

/**
 * A host that knows who asks and does not allow it: a limit of requests, single sign-on, or no right to do this.
 * Sources: GitHub Docs, "Rate limits for the REST API" and "Authenticating with single sign-on" (`X-GitHub-SSO`).
 */
function forbidden(
  reply: Reply,
  displayUrl: string,
  sent: string,
  explanation: string,
  details: ErrorDetails,
): KbError {
  const said = explanation === '' ? '' : `; it says: ${explanation}`;
  if (isUsedUp(reply.headers) || reply.headers['retry-after'] !== undefined || /\brate limit/i.test(explanation))
    return busyError(reply, displayUrl, said);
  const sso = signOn(reply, explanation);
  if (sso !== undefined) {
    return new KbError('E_AUTH', `${displayUrl} asks for single sign-on: ${sent}${said}`, {
      details: { ...details, reason: 'sso' },
      hint: `authorise the token for the organisation${sso === '' ? ' in the settings of your account' : `: ${sso}`}`,
    });
  }
  // Whoever asks, and with whatever credentials.
  if (TAKES_NO_PUSH.test(explanation)) {
    return new KbError('E_REFUSED', `${displayUrl} takes no pushes${said}`, {
      details: { ...details, remoteMessage: explanation, wholeRepository: true },
      hint: 'have its owner open it for writing again, or use another repository',
    });
  }
  const mayNotWrite = /write access|not allowed to push|permission .*(denied|for writing)|read[- ]only/i.test(
    explanation,
  );
  return new KbError('E_AUTH', `${displayUrl} does not allow this: ${sent}${said}`, {
    details: { ...details, reason: mayNotWrite ? 'no_write_access' : 'forbidden' },
    hint: mayNotWrite
      ? 'give the token the right to write to this repository, or use the token of somebody who may'
      : 'check that the token may read and write this repository, and that the account is not blocked',
  });
}

/** An archive, a mirror, an instance that only reads: GitHub, GitLab (`lib/gitlab/git_access.rb`), Gitea and Forgejo. */
const TAKES_NO_PUSH = /\barchived?\b|\bmirror\b.*read[- ]only|read[- ]only GitLab instance|protected branch/i;

/** @returns where to sign on, '' where it is not said; undefined: this is not about signing on */
function signOn(reply: Reply, explanation: string): string | undefined {
  const header = reply.headers['x-github-sso'];
  if (typeof header !== 'string') return /\bSAML\b|single sign-?on/i.test(explanation) ? '' : undefined;
  return printable(/\burl=(https:\/\/[^\s;,]+)/.exec(header)?.[1] ?? '', 300);
}

function busyError(reply: Reply, displayUrl: string, said: string): KbError {
  const retryAfterMs = rateLimitMs(reply.status, reply.headers, Date.now());
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
export async function readExplanation(reply: Reply): Promise<string> {
  const type = reply.headers['content-type'] ?? '';
  if (!/^(text\/plain|application\/(vnd\.git-lfs\+)?json)\b/i.test(type)) {
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
  const text = Buffer.concat(parts).toString('utf8').trim();
  return printable(/^text/i.test(type) ? text : messageOf(text), 300);
}

/** Of `{"message": "…"}`, as the hosts' APIs and some gateways answer. */
function messageOf(json: string): string {
  try {
    const { message } = JSON.parse(json) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}
