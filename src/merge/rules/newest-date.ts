/**
 * Both sides changed the date of the last change: the newer one is right, for the merged note was last changed then.
 * Not lossless (one of two values goes), so it is named in every result. Per key, never per block: only the keys
 * below, and only where both values are dates of the same form.
 */
const KEYS = new Set([
  'date',
  'updated',
  'modified',
  'lastmod',
  'lastmodified',
  'lastupdated',
  'updatedat',
  'modifiedat',
  'datemodified',
  'dateupdated',
  'changed',
]);

/** Of a part of a file these say when something happened; of the whole file, when it was last changed. */
const OF_WHOLE_FILES = new Set(['date', 'changed']);

/** @param depth 0: the key stands for the whole file */
export function isDateKey(key: string, depth: number): boolean {
  const name = key.toLowerCase().replace(/[\s_-]/g, '');
  return KEYS.has(name) && (depth === 0 || !OF_WHOLE_FILES.has(name));
}

/**
 * Whether a key names the last time of something (`last-reviewed`, `latestRelease`), wherever it stands: of two last times
 * the newer is the last. Not where a side set it back, for that is a correction.
 */
export function isLastKey(key: string, base: string | undefined, ours: string, theirs: string): boolean {
  if (!/^(?:last|latest)(?:[\s_-]|[A-Z]|$)/.test(key)) return false;
  if (base === undefined || readDate(base) === undefined) return true;
  return newerOf(base, ours) === 'theirs' && newerOf(base, theirs) === 'theirs';
}

/** Of two dates of one form the newer; undefined where they are none. */
export function newerOf(ours: string, theirs: string): 'ours' | 'theirs' | undefined {
  const [mine, their] = [readDate(ours), readDate(theirs)];
  if (mine === undefined || mine.form !== their?.form) return undefined;
  return their.time > mine.time ? 'theirs' : 'ours';
}

function readDate(value: string): { readonly form: string; readonly time: number } | undefined {
  const text = value
    .replace(/\s+#.*$/, '')
    .trim()
    .replace(/^(["'])(.*)\1$/, '$2');
  if (/^\d{13}$/.test(text)) return { form: 'milliseconds', time: Number(text) };
  if (/^\d{10}$/.test(text)) return { form: 'seconds', time: Number(text) };
  const compact = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?$/.exec(text);
  if (compact) return timed(`compact ${text.length}`, compact.slice(1));
  const iso =
    /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/i.exec(
      text,
    );
  if (!iso) return undefined;
  const [, year, month, day, hour, minute, second, zone] = iso;
  const parts = timed(hour === undefined ? 'day' : 'time', [year, month, day, hour, minute, second]);
  if (parts === undefined || zone === undefined || /^z$/i.test(zone)) return parts;
  const sign = zone.startsWith('-') ? 1 : -1;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return { form: parts.form, time: parts.time + sign * minutes * 60_000 };
}

function timed(form: string, parts: readonly (string | undefined)[]): { form: string; time: number } | undefined {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map((part) => Number(part ?? 0));
  const isDate = month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 61;
  return isDate ? { form, time: Date.UTC(year, month - 1, day, hour, minute, second) } : undefined;
}
