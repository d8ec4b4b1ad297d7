/**
 * A moment and the zone it is told in. Fixed when the command starts, not when the lock comes: a note
 * written at 23:59 belongs to that day however long it waits.
 */
export interface LocalTime {
  /** Milliseconds since 1970, UTC. */
  readonly epochMs: number;
  /** East of UTC is positive. */
  readonly offsetMinutes: number;
}

/** The moment in the zone of this process (`TZ`). */
export function localTime(now: Date = new Date()): LocalTime {
  return { epochMs: now.getTime(), offsetMinutes: -now.getTimezoneOffset() };
}

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const DAY_MS = 86_400_000;

interface Parts {
  readonly now: LocalTime;
  /** The local wall clock in the UTC fields of a Date. */
  readonly wall: Date;
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
}

/** Token → text. Longer tokens win; what is no token stays as it is. English names, as moment's default locale. */
const TOKENS: Readonly<Record<string, (p: Parts) => string | number>> = {
  YYYY: (p) => pad(p.year, 4),
  YY: (p) => pad(p.year % 100, 2),
  Q: (p) => Math.floor(p.month / 3) + 1,
  Qo: (p) => ordinal(Math.floor(p.month / 3) + 1),
  MMMM: (p) => MONTHS[p.month] ?? '',
  MMM: (p) => (MONTHS[p.month] ?? '').slice(0, 3),
  MM: (p) => pad(p.month + 1, 2),
  Mo: (p) => ordinal(p.month + 1),
  M: (p) => p.month + 1,
  DDDD: (p) => pad(dayOfYear(p), 3),
  DDDo: (p) => ordinal(dayOfYear(p)),
  DDD: (p) => dayOfYear(p),
  DD: (p) => pad(p.day, 2),
  Do: (p) => ordinal(p.day),
  D: (p) => p.day,
  dddd: (p) => WEEKDAYS[p.weekday] ?? '',
  ddd: (p) => (WEEKDAYS[p.weekday] ?? '').slice(0, 3),
  dd: (p) => (WEEKDAYS[p.weekday] ?? '').slice(0, 2),
  do: (p) => ordinal(p.weekday),
  d: (p) => p.weekday,
  e: (p) => p.weekday,
  E: (p) => p.weekday || 7,
  gggg: (p) => pad(localWeek(p).year, 4),
  gg: (p) => pad(localWeek(p).year % 100, 2),
  ww: (p) => pad(localWeek(p).week, 2),
  wo: (p) => ordinal(localWeek(p).week),
  w: (p) => localWeek(p).week,
  GGGG: (p) => pad(isoWeek(p).year, 4),
  GG: (p) => pad(isoWeek(p).year % 100, 2),
  WW: (p) => pad(isoWeek(p).week, 2),
  Wo: (p) => ordinal(isoWeek(p).week),
  W: (p) => isoWeek(p).week,
  HH: (p) => pad(p.hour, 2),
  H: (p) => p.hour,
  hh: (p) => pad(p.hour % 12 || 12, 2),
  h: (p) => p.hour % 12 || 12,
  kk: (p) => pad(p.hour || 24, 2),
  k: (p) => p.hour || 24,
  mm: (p) => pad(p.wall.getUTCMinutes(), 2),
  m: (p) => p.wall.getUTCMinutes(),
  ss: (p) => pad(p.wall.getUTCSeconds(), 2),
  s: (p) => p.wall.getUTCSeconds(),
  SSS: (p) => pad(p.wall.getUTCMilliseconds(), 3),
  SS: (p) => pad(Math.floor(p.wall.getUTCMilliseconds() / 10), 2),
  S: (p) => Math.floor(p.wall.getUTCMilliseconds() / 100),
  A: (p) => (p.hour < 12 ? 'AM' : 'PM'),
  a: (p) => (p.hour < 12 ? 'am' : 'pm'),
  ZZ: (p) => zone(p.now.offsetMinutes, ''),
  Z: (p) => zone(p.now.offsetMinutes, ':'),
  X: (p) => Math.floor(p.now.epochMs / 1000),
  x: (p) => p.now.epochMs,
};

const LEXER = new RegExp(
  `\\[([^\\]]*)\\]|${Object.keys(TOKENS)
    .sort((a, b) => b.length - a.length)
    .join('|')}`,
  'g',
);

/**
 * Formats a moment by moment.js tokens, which Obsidian uses for daily notes and templates; `[text]` stands
 * for itself. Source: moment.js documentation, "Display › Format".
 */
export function formatDate(now: LocalTime, format: string): string {
  const wall = new Date(now.epochMs + now.offsetMinutes * 60_000);
  const parts: Parts = {
    now,
    wall,
    year: wall.getUTCFullYear(),
    month: wall.getUTCMonth(),
    day: wall.getUTCDate(),
    weekday: wall.getUTCDay(),
    hour: wall.getUTCHours(),
  };
  return format.replace(
    LEXER,
    (token, literal: string | undefined) => literal ?? String(TOKENS[token]?.(parts) ?? token),
  );
}

function dayOfYear(p: Parts): number {
  return Math.round((Date.UTC(p.year, p.month, p.day) - Date.UTC(p.year, 0, 1)) / DAY_MS) + 1;
}

/** ISO 8601: weeks begin on Monday, and the first is the one with the year's first Thursday. */
function isoWeek(p: Parts): { year: number; week: number } {
  return weekAround(p, ((p.weekday + 6) % 7) - 3);
}

/** Moment's default: weeks begin on Sunday, and the first is the one with 1 January, which its Saturday decides. */
function localWeek(p: Parts): { year: number; week: number } {
  return weekAround(p, p.weekday - 6);
}

/** The day of the week that decides to which year the week belongs lies `daysAfter` days before `p`. */
function weekAround(p: Parts, daysAfter: number): { year: number; week: number } {
  const deciding = new Date(Date.UTC(p.year, p.month, p.day - daysAfter));
  const year = deciding.getUTCFullYear();
  return { year, week: Math.floor((deciding.getTime() - Date.UTC(year, 0, 1)) / DAY_MS / 7) + 1 };
}

function ordinal(n: number): string {
  const tens = n % 100;
  const ending = tens >= 11 && tens <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th');
  return `${n}${ending}`;
}

function zone(offsetMinutes: number, separator: string): string {
  const size = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2)}${separator}${pad(size % 60, 2)}`;
}

function pad(n: number, width: number): string {
  return String(n).padStart(width, '0');
}
