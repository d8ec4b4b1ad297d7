import { KbError } from '../errors.js';
import type { Disk } from '../disk/disk.js';
import { asStorageError, readFileIfExists } from '../disk/durable.js';
import { LockFile } from '../disk/lock-file.js';
import type { LockMarks } from '../disk/lock-marks.js';
import { parseGitConfig, type ConfigItem, type ConfigSection } from './git-config-syntax.js';

/**
 * Sets keys in a git config file in place, as `git config KEY VALUE` would: an existing value is replaced
 * where it stands, a new key goes to the end of its section, a new section to the end of the file. Every
 * other byte, comments included, stays.
 *
 * The new content is written to `<file>.lock`, created exclusively as native git does, so that neither
 * program overwrites what the other is writing; the rename makes it visible whole.
 *
 * @param values full keys (`remote.origin.url`) to values; an empty map writes nothing
 * @param marks says whose the lock is, so that others can clear it away should this process be killed
 * @throws KbError E_UNSAFE_STATE when `<file>.lock` is there, E_USAGE for a key that cannot be written, a
 *   key with several values, or a file that git could not read
 */
export function setGitConfig(disk: Disk, file: string, values: ReadonlyMap<string, string>, marks?: LockMarks): void {
  if (values.size === 0) return;
  // A symlinked configuration stays a symlink: what it points to is rewritten, as git does.
  const lock = LockFile.acquire(disk, file, { followSymlink: true, waitMs: 0, ...(marks && { marks }) });
  try {
    let text = readFileIfExists(disk, lock.target)?.toString('latin1') ?? '';
    for (const [key, value] of values) text = setValue(text, key, value, file);
    lock.write(Buffer.from(text, 'latin1'));
    lock.commit();
  } catch (error) {
    throw asStorageError(error, `write ${file}`);
  } finally {
    lock.release();
  }
}

/**
 * Adds one value to those that a key has, as `git config --add` would.
 * @throws KbError as setGitConfig, but for several values
 */
export function addGitConfig(disk: Disk, file: string, key: string, value: string, marks?: LockMarks): void {
  const lock = LockFile.acquire(disk, file, { followSymlink: true, waitMs: 0, ...(marks && { marks }) });
  try {
    const text = readFileIfExists(disk, lock.target)?.toString('latin1') ?? '';
    lock.write(Buffer.from(addValue(text, key, value, file), 'latin1'));
    lock.commit();
  } catch (error) {
    throw asStorageError(error, `write ${file}`);
  } finally {
    lock.release();
  }
}

function addValue(text: string, key: string, value: string, where: string): string {
  const { section, name } = splitKey(key);
  const sections = parseGitConfig(text, where).filter((one) => one.name === section);
  return appendLine(text, sections, section, `${name} = ${latin1(quoteValue(key, value))}`);
}

/** Text of a config file (`latin1`) with one key set. Exported for its property tests. */
export function setValue(text: string, key: string, value: string, where: string): string {
  const { section, name } = splitKey(key);
  const quoted = latin1(quoteValue(key, value));
  const sections = parseGitConfig(text, where).filter((one) => one.name === section);
  const fullKey = `${section}.${name.toLowerCase()}`;
  const items = sections.flatMap((one) => one.items.filter((item) => item.key === fullKey));
  if (items.length > 1) {
    throw new KbError('E_USAGE', `${key} has ${items.length} values in ${where}; kb does not choose between them`, {
      hint: `leave one value of ${key} in ${where}`,
    });
  }
  const item = items[0];
  if (item !== undefined) return replaceValue(text, item, quoted);
  return appendLine(text, sections, section, `${name} = ${quoted}`);
}

/** To the end of its section, or in a new one at the end of the file. */
function appendLine(text: string, sections: readonly ConfigSection[], section: string, setting: string): string {
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n';
  const line = `\t${setting}${lineEnd}`;
  const last = sections.at(-1);
  if (last !== undefined) return insertLine(text, last, line, lineEnd);
  return `${text}${lineBreaksToEnd(text, lineEnd)}${latin1(header(section))}${lineEnd}${line}`;
}

function replaceValue(text: string, item: ConfigItem, quoted: string): string {
  if (item.value === undefined) return `${text.slice(0, item.nameEnd)} = ${quoted}${text.slice(item.nameEnd)}`;
  const before = text.slice(0, item.valueStart);
  return before + (before.endsWith('=') ? ' ' : '') + quoted + text.slice(item.valueEnd);
}

function insertLine(text: string, section: ConfigSection, line: string, lineEnd: string): string {
  const item = section.items.at(-1);
  const after = item === undefined ? section.headerEnd : Math.max(item.nameEnd, item.valueEnd);
  const newline = text.indexOf('\n', after);
  const rest = text.slice(after, newline < 0 ? text.length : newline);
  // another header or key may follow on the same line: the new key then gets a line of its own before it
  if (!/^\s*(?:[#;].*)?$/.test(rest)) return `${text.slice(0, after)}${lineEnd}${line}${text.slice(after)}`;
  if (newline < 0) return text + lineBreaksToEnd(text, lineEnd) + line;
  return text.slice(0, newline + 1) + line + text.slice(newline + 1);
}

/** What ends the last line of the file; a backslash there would make the added line part of the old value. */
function lineBreaksToEnd(text: string, lineEnd: string): string {
  const lastBreak = text === '' || text.endsWith('\n') ? '' : lineEnd;
  return /\\\r?\n?$/.test(text) ? lastBreak + lineEnd : lastBreak;
}

function splitKey(key: string): { section: string; name: string } {
  const match = /^([A-Za-z0-9-]+)(?:\.([^\0\n]*))?\.([A-Za-z][A-Za-z0-9-]*)$/s.exec(key);
  const [, section, subsection, name] = match ?? [];
  if (section === undefined || name === undefined) {
    throw new KbError('E_USAGE', `not a key that a git configuration can hold: ${JSON.stringify(key.slice(0, 120))}`);
  }
  return { section: section.toLowerCase() + (subsection === undefined ? '' : `.${subsection}`), name };
}

function header(section: string): string {
  const dot = section.indexOf('.');
  if (dot < 0) return `[${section}]`;
  return `[${section.slice(0, dot)} "${section.slice(dot + 1).replace(/[\\"]/g, '\\$&')}"]`;
}

/** Quotes where the plain form would be trimmed, cut as a comment, or read as a line end. */
function quoteValue(key: string, value: string): string {
  if (value.includes('\0')) throw new KbError('E_USAGE', `the value of ${key} holds a NUL character`);
  const escaped = value
    .replace(/[\\"]/g, '\\$&')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replaceAll('\b', '\\b');
  return /^[ \v\f\r]|[ \v\f\r]$|[;#\r]/.test(value) ? `"${escaped}"` : escaped;
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}
