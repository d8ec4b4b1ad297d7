/**
 * Both sides raised a version: the higher one is right, for whoever raised it further has seen what the other one
 * came to. Not lossless (one of two values goes), so it is named in every result. Only where the key or the form says
 * that it is a version, both have it in one form (`^1.2.3` and `^1.3.0`), and neither went back behind the base: a version
 * that somebody took back is a decision.
 */
import { unquoted } from '../yaml/scalar.js';

const KEY = /^(?:latest|current|version|.*[a-z\d]Version|.*[\s_-]version)$/i;

export function isVersionKey(key: string): boolean {
  return KEY.test(key);
}

/** Of two versions, both above `base`, the higher; undefined where they are none, or one of them went back. */
export function higherOf(
  key: string,
  base: string | undefined,
  ours: string,
  theirs: string,
): 'ours' | 'theirs' | undefined {
  const [mine, their] = [readVersion(key, ours), readVersion(key, theirs)];
  if (mine === undefined || mine.form !== their?.form) return undefined;
  const was = base === undefined ? undefined : readVersion(key, base);
  if (base !== undefined) {
    if (was?.form !== mine.form) return undefined;
    if (compare(was.parts, mine.parts) > 0 || compare(was.parts, their.parts) > 0) return undefined;
  }
  const order = compare(mine.parts, their.parts);
  return order === 0 ? undefined : order > 0 ? 'ours' : 'theirs';
}

interface Version {
  /** What stands before the numbers: `^`, `>=`, `v`. */
  readonly form: string;
  readonly parts: readonly number[];
}

const VERSION = /^([~^]|[<>]?=\s*)?(v)?(\d{1,9}(?:\.\d{1,9}){1,4})$/;

function readVersion(key: string, value: string): Version | undefined {
  const read = VERSION.exec(unquoted(value));
  if (!read) return undefined;
  const [, range = '', v = '', numbers = ''] = read;
  const parts = numbers.split('.').map(Number);
  const isNamed = isVersionKey(key) || range !== '' || v !== '';
  if (!isNamed && (parts.length !== 3 || isDate(parts))) return undefined; // 12.50 is a price, 10.0.0.1 an address
  return { form: range.trim() + v, parts };
}

/** `2026.11.26` and `26.11.2026`. */
function isDate([first = 0, , last = 0]: readonly number[]): boolean {
  return first >= 1900 || last >= 1900;
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const difference = (one[at] ?? 0) - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
