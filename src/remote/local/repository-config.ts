import { dirname, join, resolve } from 'node:path';
import { readFileIfExists } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';

const MAX_INCLUDE_DEPTH = 10;
const MAX_BYTES = 1024 * 1024;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', b: '\b', '"': '"', '\\': '\\' };

/**
 * The settings in a remote repository's own `config` file: what its owner decided for everyone who pushes
 * there. The configuration of the user who pushes is another matter and not read here.
 */
export class RepositoryConfig {
  private readonly values = new Map<string, string>();

  /**
   * `include.path` is followed (relative to the file, at most 10 deep); conditional includes are not.
   * @throws KbError E_UNSAFE_STATE when the file cannot be understood: a rule of the remote might stand in it
   * Source of the syntax: git-config(1), "Syntax".
   */
  static read(disk: Disk, gitDir: string): RepositoryConfig {
    const config = new RepositoryConfig();
    config.load(disk, join(gitDir, 'config'), 0);
    return config;
  }

  /** @param key section and name in lower case, a subsection as written: `receive.denycurrentbranch` */
  get(key: string): string | undefined {
    return this.values.get(key);
  }

  /** @throws KbError E_UNSAFE_STATE when the value is no boolean */
  getBoolean(key: string): boolean | undefined {
    const value = this.values.get(key)?.toLowerCase();
    if (value === undefined) return undefined;
    if (['true', 'yes', 'on', '1'].includes(value)) return true;
    if (['false', 'no', 'off', '0', ''].includes(value)) return false;
    throw new KbError('E_UNSAFE_STATE', `the remote's setting ${key} is no boolean: ${JSON.stringify(value)}`);
  }

  /** Keys and values whose key begins so, such as `extensions.`. */
  *under(prefix: string): Generator<[string, string]> {
    for (const pair of this.values) if (pair[0].startsWith(prefix)) yield pair;
  }

  private load(disk: Disk, file: string, depth: number): void {
    const data = readFileIfExists(disk, file);
    if (data === undefined) return;
    if (depth > MAX_INCLUDE_DEPTH) throw new KbError('E_UNSAFE_STATE', `files that include each other: ${file}`);
    if (data.length > MAX_BYTES) throw new KbError('E_UNSAFE_STATE', `too large for a configuration: ${file}`);
    let section = '';
    for (const { line, number } of logicalLines(data.toString('utf8').replace(/^\ufeff/, ''))) {
      let rest = line.trim();
      const header = /^\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]/.exec(rest);
      if (header !== null) {
        const subsection = header[2]?.replace(/\\(.)/g, '$1');
        section = (header[1] ?? '').toLowerCase() + (subsection === undefined ? '' : `.${subsection}`);
        rest = rest.slice(header[0].length).trim();
      }
      if (rest === '' || rest.startsWith('#') || rest.startsWith(';')) continue;
      const pair = /^([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?$/s.exec(
        rest.replace(/^([A-Za-z][A-Za-z0-9-]*)\s*[#;].*$/s, '$1'),
      );
      const value = pair?.[2] === undefined ? 'true' : parseValue(pair[2]);
      if (pair === null || section === '' || value === undefined) {
        throw new KbError('E_UNSAFE_STATE', `the remote's configuration cannot be read: line ${number} of ${file}`);
      }
      const key = `${section}.${(pair[1] ?? '').toLowerCase()}`;
      if (key === 'include.path') this.load(disk, resolve(dirname(file), value), depth + 1);
      else this.values.set(key, value);
    }
  }
}

/** Lines with those joined that a backslash continues. */
function* logicalLines(text: string): Generator<{ line: string; number: number }> {
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const number = at + 1;
    let line = lines[at] ?? '';
    while (/(?:^|[^\\])(?:\\\\)*\\$/.test(line) && at + 1 < lines.length)
      line = line.slice(0, -1) + (lines[++at] ?? '');
    yield { line, number };
  }
}

/** The value without quotes, escapes, comment and outer blanks; undefined when it is malformed. */
function parseValue(text: string): string | undefined {
  let value = '';
  let blanks = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (!quoted && (character === '#' || character === ';')) break;
    if (!quoted && (character === ' ' || character === '\t')) {
      blanks += character;
      continue;
    }
    value += value === '' ? '' : blanks;
    blanks = '';
    if (character === '"') quoted = !quoted;
    else if (character === '\\') {
      const escaped = ESCAPES[text[++at] ?? ''];
      if (escaped === undefined) return undefined;
      value += escaped;
    } else value += character;
  }
  return quoted ? undefined : value;
}
