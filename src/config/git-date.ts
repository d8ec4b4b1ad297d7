import { KbError } from '../errors.js';

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

interface DateParts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly zone: string | undefined;
}

/**
 * The date formats that git documents for GIT_AUTHOR_DATE and GIT_COMMITTER_DATE (git-commit(1), "DATE
 * FORMATS"): git's own `<seconds> <zone>`, RFC 2822, ISO 8601. A date without a zone is in the zone of `offsetMinutes` (east is positive).
 * @throws KbError E_USAGE
 */
export function parseGitDate(
  text: string,
  source: string,
  offsetMinutes: number,
): { timestamp: number; timezone: string } {
  const raw = /^@?(\d{1,12})(?:\s+([+-]\d{4}))?$/.exec(text.trim());
  if (raw !== null) return { timestamp: Number(raw[1]), timezone: raw[2] ?? formatTimezone(offsetMinutes) };
  const parts = isoParts(text.trim()) ?? mailParts(text.trim());
  const offset = parts === undefined ? NaN : zoneMinutes(parts.zone, offsetMinutes);
  const local =
    parts === undefined
      ? NaN
      : Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
  const timestamp = local / 1000 - offset * 60;
  // Date.UTC rolls 31 April over to 1 May; a date that does not exist is a mistake, not a wish
  if (
    parts !== undefined &&
    timestamp >= 0 &&
    parts.month <= 12 &&
    new Date(local).getUTCDate() === parts.day &&
    parts.hour < 24 &&
    parts.minute < 60 &&
    parts.second < 61
  ) {
    return { timestamp, timezone: formatTimezone(offset) };
  }
  throw new KbError('E_USAGE', `${source} is not a date: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: `write ${source} as 2026-05-01T08:00:00+02:00 or as "1777615200 +0200"`,
  });
}

function isoParts(text: string): DateParts | undefined {
  const match = /^(\d{4})[-./](\d\d)[-./](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(
    text,
  );
  if (match === null) return undefined;
  return {
    year: Number(match[1]),
    month: Number(match[2]),
    day: Number(match[3]),
    hour: Number(match[4]),
    minute: Number(match[5]),
    second: Number(match[6] ?? 0),
    zone: match[7],
  };
}

function mailParts(text: string): DateParts | undefined {
  const match =
    /^(?:[A-Za-z]{3},?\s+)?(\d{1,2})\s+([A-Za-z]{3})\s+(\d{4})\s+(\d\d):(\d\d)(?::(\d\d))?\s*(GMT|UTC|Z|[+-]\d{4})?$/.exec(
      text,
    );
  const month = MONTHS.indexOf(match?.[2]?.toLowerCase() ?? '') + 1;
  if (match === null || month === 0) return undefined;
  return {
    year: Number(match[3]),
    month,
    day: Number(match[1]),
    hour: Number(match[4]),
    minute: Number(match[5]),
    second: Number(match[6] ?? 0),
    zone: match[7],
  };
}

function zoneMinutes(zone: string | undefined, fallback: number): number {
  if (zone === undefined) return fallback;
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  if (match === null) return 0;
  const size = Number(match[2]) * 60 + Number(match[3]);
  return size > 14 * 60 ? NaN : match[1] === '-' ? -size : size;
}

/** `-90` → `-0130`, as git writes zones. */
export function formatTimezone(offsetMinutes: number): string {
  const size = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? '-' : '+'}${String(Math.floor(size / 60)).padStart(2, '0')}${String(size % 60).padStart(2, '0')}`;
}
