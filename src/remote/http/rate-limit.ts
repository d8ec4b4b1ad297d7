import type { IncomingHttpHeaders } from 'node:http';

/**
 * How long a server that limits requests, or is busy, asks to wait, in milliseconds; undefined: it does not. Of a 403
 * only the rest of an allowance tells whether it is a limit or a refusal.
 * Sources: RFC 9110, 10.2.3; RFC 6585, 4; GitHub Docs, "Rate limits for the REST API"; GitLab Docs, "Rate limits".
 * @param now wall clock, milliseconds since the epoch
 */
export function rateLimitMs(status: number, headers: IncomingHttpHeaders, now: number): number | undefined {
  if (status !== 403 && status !== 429 && status !== 503) return undefined;
  const named = parseRetryAfter(headers['retry-after'], now);
  if (named !== undefined) return named;
  if (status === 503 || !isUsedUp(headers)) return undefined;
  return parseReset(text(headers['x-ratelimit-reset']) ?? text(headers['ratelimit-reset']), now);
}

/** The allowance of requests is used up. */
export function isUsedUp(headers: IncomingHttpHeaders): boolean {
  return (text(headers['x-ratelimit-remaining']) ?? text(headers['ratelimit-remaining']))?.trim() === '0';
}

/**
 * Seconds or an HTTP date (RFC 9110, 10.2.3) as milliseconds from now.
 * @param now wall clock, milliseconds since the epoch
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Hosts write either the second since 1970 at which the allowance is renewed, or seconds from now. */
function parseReset(value: string | undefined, now: number): number | undefined {
  if (value === undefined || !/^\d{1,12}$/.test(value.trim())) return undefined;
  const seconds = Number(value);
  return seconds > SECONDS_UNTIL_2001 ? Math.max(0, seconds * 1000 - now) : seconds * 1000;
}

const SECONDS_UNTIL_2001 = 1_000_000_000;

function text(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}
