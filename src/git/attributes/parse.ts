import { type IgnorePattern, parsePathPattern } from '../worktree/ignore-pattern.js';

/** `name`, `-name`, `!name` (null: as if nothing was said), `name=value` (as a byte string). */
export type AttributeState = true | false | null | string;

/** One line of a `.gitattributes` file: what it says of the files that it matches, or of a macro. */
export interface AttributeLine {
  /** undefined: a macro; null: matches nothing, ever */
  readonly pattern: IgnorePattern | null | undefined;
  /** Name of the attribute that stands for all of `states`. */
  readonly macro: string | undefined;
  readonly states: readonly (readonly [name: string, state: AttributeState])[];
}

export interface AttributeFileKind {
  /** `[attr]` lines count: outside of the work tree, and in its topmost folder. */
  readonly macros: boolean;
  readonly ignoreCase: boolean;
  /** A blob is cut into lines in another way than a file: it ends at a NUL, and its byte order mark counts. */
  readonly isBlob: boolean;
}

/** As in git (its ATTR_MAX_LINE_LENGTH): longer lines are passed over. Bytes. */
const MAX_LINE_BYTES = 2048;
const BLANK = /[ \t\r\n]/;
const MACRO = '[attr]';

/**
 * The lines of an attributes file in their order; the last one that speaks of a path wins. What is malformed is passed
 * over, line by line, as git does.
 * Source: gitattributes(5); where it is silent, git's own behaviour (test: "agrees with git check-attr").
 */
export function parseAttributes(content: Buffer, kind: AttributeFileKind): AttributeLine[] {
  let text = content.toString('latin1');
  if (kind.isBlob) text = text.replace(/\0[^]*$/, '');
  else if (text.startsWith('\xef\xbb\xbf')) text = text.slice(3);
  const lines: AttributeLine[] = [];
  for (const whole of text.split('\n')) {
    const line = parseLine(kind.isBlob ? whole : whole.replace(/\r$/, '').replace(/\0[^]*$/, ''), kind);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function parseLine(line: string, kind: AttributeFileKind): AttributeLine | undefined {
  const text = line.replace(/^[ \t\r\n]+/, '');
  if (text === '' || text.startsWith('#') || line.length >= MAX_LINE_BYTES) return undefined;
  const quoted = text.startsWith('"') ? unquote(text) : undefined;
  const name = quoted?.text ?? upToBlank(text);
  const states = parseStates(text.slice(quoted?.length ?? name.length));
  if (states === undefined) return undefined;
  if (name.startsWith(MACRO) && name.length > MACRO.length) {
    const macro = upToBlank(name.slice(MACRO.length).replace(/^[ \t\r\n]+/, ''));
    return kind.macros && isAttributeName(macro) ? { pattern: undefined, macro, states } : undefined;
  }
  if (name.startsWith('!')) return undefined;
  const pattern = parsePathPattern(name, kind.ignoreCase);
  // A pattern for folders never says anything of a file.
  return { pattern: pattern === undefined || pattern.directoriesOnly ? null : pattern, macro: undefined, states };
}

/** @returns undefined when one of them has no proper name: git then passes the whole line over */
function parseStates(text: string): AttributeLine['states'] | undefined {
  const states: (readonly [string, AttributeState])[] = [];
  for (const word of text.split(BLANK)) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const isSet = !word.startsWith('-') && !word.startsWith('!');
    const name = word.slice(isSet ? 0 : 1, equals === -1 ? undefined : equals);
    if (!isAttributeName(name)) return undefined;
    if (!isSet) states.push([name, word.startsWith('-') ? false : null]);
    else states.push([name, equals === -1 ? true : word.slice(equals + 1)]);
  }
  return states;
}

function isAttributeName(name: string): boolean {
  return /^[A-Za-z0-9._][A-Za-z0-9._-]*$/.test(name);
}

function upToBlank(text: string): string {
  const end = text.search(BLANK);
  return end === -1 ? text : text.slice(0, end);
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
};

/** A name in double quotes with the escapes of C, as git prints odd paths. @returns undefined when it is no such name */
function unquote(text: string): { text: string; length: number } | undefined {
  let result = '';
  for (let at = 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '"') return { text: result, length: at + 1 };
    if (character !== '\\') {
      result += character;
      continue;
    }
    at += 1;
    const octal = /^[0-3][0-7]{2}/.exec(text.slice(at, at + 3))?.[0];
    const escaped = octal === undefined ? ESCAPES[text.charAt(at)] : String.fromCharCode(parseInt(octal, 8));
    if (escaped === undefined) return undefined;
    result += escaped;
    at += (octal?.length ?? 1) - 1;
  }
  return undefined;
}
