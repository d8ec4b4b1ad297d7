import { KbError } from '../errors.js';
import type { Disk } from '../disk/disk.js';
import { asStorageError, isErrno } from '../disk/durable.js';
import { nearest } from '../nearest.js';

/** A settings file is a page at most; more is a mistake or an attack on the parser. */
const MAX_BYTES = 64 * 1024;

/** Words that mark a secret or something to run. A KB comes from others: neither may come from there. */
const FORBIDDEN: readonly { readonly word: RegExp; readonly reason: string }[] = [
  {
    word: /token|passw|passphrase|secret|credential|apikey|api_key|private_?key/i,
    reason: 'a secret does not belong into a file; set KB_GIT_AUTH_TOKEN in the environment',
  },
  {
    word: /exec|command|^cmd$|shell|script|hook|editor|^run$|program/i,
    reason: 'a settings file can name no command to run',
  },
];

export interface YamlValue {
  readonly value: unknown;
  /** 1-based. */
  readonly line: number;
}

/**
 * Reads a settings file: dotted key → scalar value with its line. The `yaml` library is loaded only when
 * the file exists, so that most commands never pay for it.
 * @param known all allowed keys, dotted; the groups above them are allowed too
 * @param groups keys, dotted, whose whole group is handed over, for another reader
 * @returns undefined when there is no such file
 * @throws KbError E_USAGE naming file, line and key
 */
export async function readYamlFile(
  disk: Disk,
  path: string,
  known: readonly string[],
  groups: readonly string[] = [],
): Promise<ReadonlyMap<string, YamlValue> | undefined> {
  const text = readText(disk, path);
  if (text === undefined) return undefined;
  const { parseDocument, LineCounter, isMap, isScalar, isSeq } = await import('yaml');
  const lines = new LineCounter();
  const values = new Map<string, YamlValue>();
  const lineOf = (node: unknown): number => {
    const range = (node as { range?: readonly number[] | null } | null)?.range;
    return range?.[0] === undefined ? 1 : lines.linePos(range[0]).line;
  };
  const document = parseSafely(
    () => parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'error' }),
    path,
  );
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined)
    throw refused(path, lines.linePos(problem.pos[0]).line, `not valid YAML: ${firstLine(problem.message)}`);

  const visit = (node: unknown, prefix: string): void => {
    if (!isMap(node))
      throw refused(path, lineOf(node), `${prefix === '' ? 'the file' : prefix} must be a group of keys`);
    for (const { key: keyNode, value } of node.items) {
      const line = lineOf(keyNode);
      if (!isScalar(keyNode) || typeof keyNode.value !== 'string')
        throw refused(path, line, 'a key that is no plain text');
      const key = prefix === '' ? keyNode.value : `${prefix}.${keyNode.value}`;
      if (groups.includes(key)) {
        const group: unknown = isMap(value) || isSeq(value) ? value.toJS(document, { maxAliasCount: 0 }) : undefined;
        values.set(key, { value: group, line });
        continue;
      }
      checkKey(path, line, key, keyNode.value, [...known, ...groups]);
      if (!known.includes(key)) visit(value, key);
      else if (isScalar(value) || value === null)
        values.set(key, { value: isScalar(value) ? value.value : null, line });
      else if (isMap(value) || isSeq(value)) values.set(key, { value: isSeq(value) ? [] : {}, line });
      else throw refused(path, line, `${key} uses a YAML alias, which settings files do not support`);
    }
  };
  if (document.contents !== null && !(isScalar(document.contents) && document.contents.value === null))
    visit(document.contents, '');
  return values;
}

function checkKey(path: string, line: number, key: string, name: string, known: readonly string[]): void {
  if (known.includes(key) || known.some((one) => one.startsWith(`${key}.`))) return;
  const forbidden = FORBIDDEN.find(({ word }) => word.test(name));
  if (forbidden !== undefined)
    throw refused(
      path,
      line,
      `the key ${JSON.stringify(key)} is not allowed: ${forbidden.reason}`,
      `remove line ${line} of ${path}`,
    );
  const close = nearest(key, known);
  throw refused(
    path,
    line,
    `unknown key ${JSON.stringify(key.slice(0, 80))}`,
    close === undefined ? `known keys: ${known.join(', ')}` : `did you mean ${close}?`,
  );
}

/** A symlink or device in a KB made by others could point anywhere; only a plain file is read. */
function readText(disk: Disk, path: string): string | undefined {
  try {
    const stat = disk.lstatSync(path);
    if (!stat.isFile())
      throw new KbError('E_USAGE', `${path} is not a plain file`, { hint: `replace ${path} by a plain file` });
    if (stat.size > MAX_BYTES)
      throw new KbError('E_USAGE', `${path} is larger than ${MAX_BYTES} bytes`, {
        hint: `keep only settings in ${path}`,
      });
    return new TextDecoder('utf-8', { fatal: true }).decode(disk.readFileSync(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    if (error instanceof TypeError)
      throw new KbError('E_USAGE', `${path} is not UTF-8 text`, { cause: error, hint: `save ${path} as UTF-8` });
    throw asStorageError(error, `read ${path}`);
  }
}

/** Nesting thousands deep exhausts the stack inside the parser; that is the file's fault, not a bug. */
function parseSafely<T>(parse: () => T, path: string): T {
  try {
    return parse();
  } catch (error) {
    throw new KbError('E_USAGE', `${path} is not valid YAML`, { cause: error, hint: `correct ${path}` });
  }
}

function refused(path: string, line: number, what: string, hint = `correct line ${line} of ${path}`): KbError {
  return new KbError('E_USAGE', `${path}:${line}: ${what}`, { hint, details: { file: path, line } });
}

function firstLine(text: string): string {
  return text.split('\n')[0]?.slice(0, 200) ?? '';
}
