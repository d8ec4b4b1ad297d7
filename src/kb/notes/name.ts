import { KbError } from '../../errors.js';
import type { RepoPath } from '../../git/paths.js';
import { formatDate, type LocalTime } from './date-format.js';
import { cutToBytes, slugify, titleFromText } from './slug.js';

/** Room for ` (conflict …)` and `-12.md` is left below the 255 bytes that file systems take. */
const MAX_STEM_BYTES = 80;

/** Windows opens the device, not the file, for these names, whatever follows the first dot. */
const DEVICE_NAME = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)/i;

/** Forbidden by Windows or read by Obsidian as part of a link; controls, and characters that nobody sees. */
const FORBIDDEN =
  /[/\\:*?"<>|#^[\]]|\p{Cc}|[\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]|\p{Cs}|\p{Cn}/gu;

/**
 * The default name of a new note: `YYYY-MM-DD-slug.md`; the time of day stands in where no letter is left.
 * @param title the title, or the whole text of a note that has none: its first line that says something counts
 */
export function noteFileName(title: string, date: LocalTime): string {
  const day = `${formatDate(date, 'YYYY-MM-DD')}-`;
  const slug = slugify(titleFromText(title), MAX_STEM_BYTES - day.length) || formatDate(date, 'HHmmss');
  return `${day}${slug}.md`;
}

/**
 * A name that a user typed (`--name`), made safe on every system: NFC, forbidden characters replaced by a
 * blank, no dots or blanks at the ends, no device name; `.md` is added where there is no such ending.
 * @throws KbError E_USAGE when nothing is left
 */
export function cleanFileName(name: string): string {
  const extension = /\.(?:md|markdown|canvas|txt)$/i.exec(name.trim())?.[0] ?? '';
  const stem = name.trim().slice(0, name.trim().length - extension.length);
  const clean = trimEnds(
    cutToBytes(trimEnds(stem.normalize('NFC').replace(FORBIDDEN, ' ').replace(/\s+/g, ' ')), MAX_STEM_BYTES),
  );
  if (clean === '')
    throw new KbError('E_USAGE', `no usable file name: ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'use letters or digits in --name',
    });
  const safe = DEVICE_NAME.test(clean) ? clean.replace(DEVICE_NAME, '$&_') : clean;
  return safe + (extension === '' ? '.md' : extension);
}

function trimEnds(text: string): string {
  return text.replace(/^[\s.]+|[\s.]+$/g, '');
}

/**
 * The wanted path, or the next free `-2`, `-3`, … before its ending; a new note never overwrites another.
 * @param isTaken whether a path with this key exists, on disk or in the fetched tree
 * @param key case-folded and NFC: names that one volume cannot hold apart share it
 */
export function freeName(
  wanted: RepoPath,
  isTaken: (collisionKey: string) => boolean,
  key: (path: string) => string,
): RepoPath {
  if (!isTaken(key(wanted))) return wanted;
  const name = wanted.slice(wanted.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  const ending = dot > 0 ? name.slice(dot) : '';
  const stem = wanted.slice(0, wanted.length - ending.length);
  for (let n = 2; ; n++) {
    const candidate = `${stem}-${n}${ending}` as RepoPath;
    if (!isTaken(key(candidate))) return candidate;
  }
}
