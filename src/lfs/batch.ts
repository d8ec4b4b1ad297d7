import { KbError, registerSecret } from '../errors.js';
import { printable } from '../printable.js';
import { isLoopback } from '../remote/url.js';
import type { LfsOperation } from './endpoint.js';
import { isLfsOid, type LfsObject, type LfsOid } from './pointer.js';

/** As many objects a request: what GitHub and GitLab take at most. */
export const BATCH_LIMIT = 100;

export const LFS_JSON = 'application/vnd.git-lfs+json';

/** One request that the server wants for an object. */
export interface Action {
  readonly href: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Wall clock, milliseconds since 1970, after which the server does not know it any more. */
  readonly expiresAt?: number;
  /** The address is enough, whoever asks: no credentials are to be added. */
  readonly isAuthenticated: boolean;
}

export type Answer = { readonly object: LfsObject } & (
  | { readonly kind: 'transfer'; readonly action: Action; readonly verify?: Action }
  /** An upload of what is there already. */
  | { readonly kind: 'there' }
  | { readonly kind: 'error'; readonly error: KbError }
);

/**
 * The question of the batch API. Source: git-lfs, docs/api/batch.md, "Requests".
 * @param ref the branch, which servers may ask for rights
 */
export function batchRequest(operation: LfsOperation, objects: readonly LfsObject[], ref: string | undefined): string {
  return JSON.stringify({
    operation,
    transfers: ['basic'],
    ...(ref === undefined ? {} : { ref: { name: ref } }),
    objects: objects.map(({ oid, size }) => ({ oid, size })),
    hash_algo: 'sha256',
  });
}

export interface AnswerContext {
  readonly operation: LfsOperation;
  readonly asked: readonly LfsObject[];
  /** Whom the answer comes from. */
  readonly endpoint: URL;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number;
}

/**
 * Reads the answer, one for each object that was asked for. Nothing in it is believed: no object that was not asked for
 * and no address that the server must not choose.
 * Source: git-lfs, docs/api/batch.md, "Responses"; docs/api/basic-transfers.md.
 * @throws KbError E_NETWORK when it is no such answer
 */
export function readAnswers(text: string, context: AnswerContext): Answer[] {
  const body = asRecord(parseJson(text));
  const list = body?.['objects'];
  if (body === undefined || !Array.isArray(list)) throw notAnAnswer('it is no list of objects');
  if (body['transfer'] !== undefined && body['transfer'] !== 'basic')
    throw notAnAnswer('it wants another way of transfer than was offered');
  if (body['hash_algo'] !== undefined && body['hash_algo'] !== 'sha256')
    throw notAnAnswer('it names files by another hash than SHA-256');
  const said = new Map<LfsOid, Record<string, unknown>>();
  for (const item of list) {
    const record = asRecord(item);
    const oid = record?.['oid'];
    if (record !== undefined && typeof oid === 'string' && isLfsOid(oid)) said.set(oid, record);
  }
  return context.asked.map((object) => answerFor(object, said.get(object.oid), context));
}

function answerFor(object: LfsObject, said: Record<string, unknown> | undefined, context: AnswerContext): Answer {
  const failed = (error: KbError): Answer => ({ object, kind: 'error', error });
  if (said === undefined) return failed(forObject('E_NETWORK', object, 'the LFS server says nothing about it'));
  const error = asRecord(said['error']);
  if (error !== undefined) return failed(objectError(object, error));
  if (said['size'] !== undefined && said['size'] !== object.size)
    return failed(forObject('E_REFUSED', object, `the LFS server has it with another size`));
  const actions = asRecord(said['actions']) ?? {};
  const isAuthenticated = said['authenticated'] === true;
  try {
    const action = readAction(actions[context.operation], isAuthenticated, context);
    if (action === undefined) {
      if (context.operation === 'upload') return { object, kind: 'there' };
      return failed(forObject('E_NETWORK', object, 'the LFS server does not say where it is'));
    }
    const verify = context.operation === 'upload' ? readAction(actions['verify'], isAuthenticated, context) : undefined;
    return { object, kind: 'transfer', action, ...(verify === undefined ? {} : { verify }) };
  } catch (caught) {
    if (caught instanceof KbError) return failed(caught);
    throw caught;
  }
}

function readAction(said: unknown, isAuthenticated: boolean, context: AnswerContext): Action | undefined {
  const action = asRecord(said);
  if (action === undefined) return undefined;
  const href = readHref(action['href'], context.endpoint);
  const expiresAt = readExpiry(action, context.nowMs);
  return {
    href,
    headers: readHeaders(action['header']),
    isAuthenticated,
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function readHref(said: unknown, endpoint: URL): URL {
  if (typeof said !== 'string' || !URL.canParse(said)) throw badAction('no address');
  return harmlessTarget(new URL(said), endpoint);
}

/**
 * Invariant: what comes from a server leads neither from https to http, nor to a service of this machine (unless the
 * server is one), nor to anything but http(s). (test: "an address that a server must not choose")
 * @returns without userinfo and fragment
 */
export function harmlessTarget(target: URL, from: URL): URL {
  const shown = printable(`${target.protocol}//${target.host}`, 200);
  if (target.protocol !== 'https:' && target.protocol !== 'http:') throw badAction(`an address of another kind`);
  if (from.protocol === 'https:' && target.protocol === 'http:')
    throw badAction(`an address that is not encrypted: ${shown}`);
  if (isLoopback(target) && !isLoopback(from)) throw badAction(`a service of this machine: ${shown}`);
  const clean = new URL(target);
  clean.username = '';
  clean.password = '';
  clean.hash = '';
  return clean;
}

const MOST_HEADERS = 64;
const LONGEST_HEADER = 16_384;
/** How a request is sent and to whom is for kb to say. */
const OWN_HEADERS = /^(host|connection|keep-alive|content-length|expect|te|trailer|upgrade|proxy-.*)$/i;
const SECRET_HEADERS = /auth|token|key|secret|signature|cookie/i;

/** @throws KbError E_NETWORK for what is no header */
export function readHeaders(said: unknown): Record<string, string> {
  const headers = Object.entries(asRecord(said) ?? {});
  if (headers.length > MOST_HEADERS) throw badAction('too many headers');
  const kept: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || typeof value !== 'string' || value.length > LONGEST_HEADER)
      throw badAction('a header that is none');
    // eslint-disable-next-line no-control-regex -- a control character would end the header or begin another
    if (/[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/.test(value)) throw badAction('a header that is none');
    if (OWN_HEADERS.test(name)) continue;
    if (SECRET_HEADERS.test(name)) for (const word of value.split(/\s+/)) if (word.length >= 8) registerSecret(word);
    kept[name.toLowerCase()] = value;
  }
  return kept;
}

/**
 * `expires_in` counts from the answer, and goes before `expires_at`: it does not need equal clocks.
 * @returns wall clock, milliseconds since 1970; undefined: for ever
 */
export function readExpiry(action: Readonly<Record<string, unknown>>, nowMs: number): number | undefined {
  const { expires_in: seconds, expires_at: at } = action;
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds !== 0) return nowMs + seconds * 1000;
  if (typeof at !== 'string') return undefined;
  const moment = Date.parse(at);
  // Some servers send the beginning of time for "never".
  return Number.isNaN(moment) || moment <= 0 ? undefined : moment;
}

/** Source: git-lfs, docs/api/batch.md, "Response Errors" of single objects. */
function objectError(object: LfsObject, { code, message }: Record<string, unknown>): KbError {
  const said = typeof message === 'string' && message !== '' ? `; it says: ${printable(message, 300)}` : '';
  switch (code) {
    case 404:
    case 410:
      return forObject('E_NETWORK', object, `the LFS server does not have it${said}`);
    case 401:
    case 403:
      return forObject('E_AUTH', object, `the LFS server does not allow it${said}`);
    default: {
      const isBusy = typeof code === 'number' && (code === 429 || code >= 500) && code !== 507 && code !== 509;
      return forObject(
        isBusy ? 'E_NETWORK' : 'E_REFUSED',
        object,
        `the LFS server refuses it (${typeof code === 'number' ? code : 'without a code'})${said}`,
        isBusy,
      );
    }
  }
}

/** An error about one large file. */
export function forObject(
  code: 'E_NETWORK' | 'E_AUTH' | 'E_REFUSED',
  { oid, size }: LfsObject,
  why: string,
  retryable = false,
): KbError {
  return new KbError(code, `the large file ${oid.slice(0, 12)}…: ${why}`, { retryable, details: { oid, size } });
}

function badAction(what: string): KbError {
  return new KbError('E_NETWORK', `the LFS server names ${what}; nothing was sent there`, {
    retryable: false,
    hint: 'tell whoever runs the LFS server',
  });
}

export function notAnAnswer(why: string): KbError {
  return new KbError('E_NETWORK', `the LFS server's answer is not understood: ${why}`, {
    retryable: false,
    hint: 'check the address of the LFS server (lfs.url), and that no sign-in page stands before it',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
