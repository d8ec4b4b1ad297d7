/**
 * The one table of what can go wrong: each code, its exit code, whether the same command may simply be
 * tried again, and what to type next when the thrower knows nothing better.
 */
const TABLE = {
  E_INTERNAL: {
    exitCode: 1,
    retryable: false,
    hint: 'this is a bug in kb: run again with KB_LOG_LEVEL=debug and report the output',
  },
  E_USAGE: { exitCode: 2, retryable: false, hint: 'see the command with --help' },
  E_NETWORK: { exitCode: 3, retryable: true, hint: 'try again when the remote can be reached: kb sync' },
  E_AUTH: {
    exitCode: 4,
    retryable: false,
    hint: 'set KB_GIT_AUTH_TOKEN to a token that may read and write this repository',
  },
  E_CONFLICT: { exitCode: 5, retryable: false, hint: 'see both versions: kb conflicts; decide with: kb resolve' },
  E_LOCK_TIMEOUT: { exitCode: 6, retryable: true, hint: 'wait longer with --lock-timeout, or look with: kb status' },
  E_UNSAFE_STATE: { exitCode: 7, retryable: false, hint: 'look with: kb status' },
  E_NO_KB: { exitCode: 8, retryable: false, hint: 'make one with: kb clone URL, or name one with --kb DIR' },
  E_STORAGE: {
    exitCode: 9,
    retryable: false,
    hint: 'check free space and permissions, then run the same command again',
  },
  E_UNHEALTHY: { exitCode: 10, retryable: false, hint: 'look with: kb status' },
  E_LOCK_LOST: {
    exitCode: 11,
    retryable: true,
    hint: 'nothing was pushed after the lock was taken away; run the same command again',
  },
  E_QUEUED: { exitCode: 12, retryable: false, hint: 'the edit is saved; look with: kb status' },
  E_CORRUPT: {
    exitCode: 13,
    retryable: false,
    hint: 'clone the KB again into another directory and copy local changes over',
  },
  E_REFUSED: { exitCode: 14, retryable: false, hint: 'ask whoever runs the remote which rule refused the push' },
  E_TIMEOUT: { exitCode: 124, retryable: false, hint: 'give the command more time with --timeout' },
  // 127 is a program that was not found, as in a shell; the thrower gives the exit code of one that ran.
  E_COMMAND: {
    exitCode: 127,
    retryable: false,
    hint: 'see what the command printed; kb run ends with its exit code (126: cannot be started, 127: not found)',
  },
  E_INTERRUPTED: { exitCode: 130, retryable: true, hint: 'nothing was left half done; run the same command again' },
  E_TERMINATED: { exitCode: 143, retryable: true, hint: 'nothing was left half done; run the same command again' },
} as const satisfies Record<string, { exitCode: number; retryable: boolean; hint: string }>;

export type ErrorCode = keyof typeof TABLE;

/** Every code in the order of its exit code, for help pages and tests. */
export const ERROR_CODES = Object.keys(TABLE) as ErrorCode[];

export function exitCodeOf(code: ErrorCode): number {
  return TABLE[code].exitCode;
}

/** What to type next when the thrower of the error knows nothing better. */
export function hintOf(code: ErrorCode): string {
  return TABLE[code].hint;
}

export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface KbErrorOptions {
  /** What to type next; without it the code's general hint. */
  readonly hint?: string;
  /** Machine-readable facts for `--json`; must hold no secret (strings are redacted all the same). */
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
  /** Overrides the code's default, for example a 429 that names a time to come back. */
  readonly retryable?: boolean;
  /** Of a command that kb ran, 1 to 255; overrides the code's own. */
  readonly exitCode?: number;
}

/** Tells a KbError of any copy of this module: what asks the remote first is a program by itself (src/cli/ask-first.ts). */
const IS_KB_ERROR = Symbol.for('@kb-cli/kb: KbError');

const SECRETS = Symbol.for('@kb-cli/kb: secrets');

/** What happened and why (`message`), and what to type next (`hint`). Secrets are taken out when it is made. */
export class KbError extends Error {
  override readonly name = 'KbError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;
  readonly exitCode: number;
  readonly details: ErrorDetails;
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== KbError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && IS_KB_ERROR in value;
  }

  constructor(code: ErrorCode, message: string, options: KbErrorOptions = {}) {
    super(redact(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = redact(options.hint ?? TABLE[code].hint);
    this.retryable = options.retryable ?? TABLE[code].retryable;
    this.exitCode = options.exitCode ?? TABLE[code].exitCode;
    this.details = redactValue(options.details ?? {}) as ErrorDetails;
  }

  /** Not a member of each error: it would be shown with it. @internal */
  get [IS_KB_ERROR](): true {
    return true;
  }
}

export function isKbError(error: unknown, code?: ErrorCode): error is KbError {
  return error instanceof KbError && (code === undefined || error.code === code);
}

/** What nobody foresaw: a bug in kb. */
export function unforeseen(error: unknown): KbError {
  return new KbError('E_INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

/**
 * One set for all copies of this module in the process: who reads a token and who makes the error that could carry it
 * may be different ones.
 */
const shared = globalThis as unknown as { [SECRETS]: Set<string> | undefined };
const secrets = (shared[SECRETS] ??= new Set<string>());

/**
 * Names a value that must never be printed. Whoever reads a token calls this before using it: an error
 * made later, by anyone, then cannot carry it. Values under 4 characters are ignored (they would
 * blank out ordinary text).
 */
export function registerSecret(value: string): void {
  if (value.length < 4) return;
  secrets.add(value);
  secrets.add(encodeURIComponent(value));
  secrets.add(Buffer.from(value).toString('base64'));
}

/** Text without URL credentials, authorization headers, well-known token shapes and registered secrets. */
export function redact(text: string): string {
  let clean = text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^\s/]*)@/gi, (_, scheme: string, userinfo: string) => {
      // Elsewhere a token may stand in the name's place; with ssh a name is no secret, and `git@` is what one copies.
      const name = /^(git\+)?ssh(\+git)?:/i.test(scheme) ? /^[^:@]*(?=(:?))/.exec(userinfo) : null;
      if (name === null) return `${scheme}***@`;
      return name[0] === userinfo ? `${scheme}${userinfo}@` : `${scheme}${name[0]}${name[1] ?? ''}***@`;
    })
    .replace(/\b(authorization:\s*)(\S+\s+)?\S+/gi, '$1***')
    .replace(/\b(gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{8,}/g, '$1***');
  for (const secret of secrets) clean = clean.replaceAll(secret, '***');
  return clean;
}

function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map(redactValue);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactValue(item)]));
  }
  return value;
}
