import { KbError } from '../errors.js';
import { parseGitDate } from './git-date.js';

const DAY = 24 * 3600;
const UNITS: Readonly<Record<string, number>> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: DAY,
  week: 7 * DAY,
  month: 30 * DAY,
  year: 365 * DAY,
};

/**
 * The moment that an expiry names, as git writes them in `gc.pruneExpire`: `2.weeks.ago`, `90 days`, `now`, `never`, or
 * a date. Source: git-config(1), gc.pruneExpire, and git's `date.c`, parse_expiry_date; of its "approxidate" only
 * what has one meaning.
 * @param nowMs ms since 1970
 * @returns seconds since 1970; −Infinity for never
 * @throws KbError E_USAGE
 */
export function parseExpiry(text: string, source: string, nowMs: number): number {
  const now = Math.floor(nowMs / 1000);
  const words = text.trim().toLowerCase();
  if (words === 'never' || words === 'false') return -Infinity;
  if (words === 'now' || words === 'all') return Math.ceil(nowMs / 1000);
  const match = /^(\d{1,6})[. ]*(second|minute|hour|day|week|month|year)s?(?:[. ]+ago)?$/.exec(words);
  if (match !== null) return now - Number(match[1]) * (UNITS[match[2] ?? ''] ?? NaN);
  try {
    return parseGitDate(text, source, 0).timestamp;
  } catch (error) {
    throw new KbError('E_USAGE', `${source} is not a time: ${JSON.stringify(text.slice(0, 80))}`, {
      hint: `write ${source} as 2.weeks.ago, 90.days.ago, never, or a date such as 2026-05-01T08:00:00Z`,
      cause: error,
    });
  }
}
