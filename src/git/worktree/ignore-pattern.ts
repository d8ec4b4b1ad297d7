/**
 * One line of a `.gitignore` file, as gitignore(5) defines it.
 *
 * Own code rather than the `ignore` package, because `status` must agree with native git to the letter and
 * that package does not: it matches characters where git matches bytes (`?` against `é`), folds case by
 * default, knows no `[[:alpha:]]`, and turns patterns into regular expressions, which a hostile
 * `*a*a*a*a*…` can keep busy for ever. Here a match costs at most tokens × characters.
 */
export interface IgnorePattern {
  readonly negated: boolean;
  readonly directoriesOnly: boolean;
  /**
   * @param path relative to the folder of the pattern's file, in git's bytes (`toByteString`)
   * @param name the last part of the path
   */
  matches(path: string, name: string): boolean;
}

/** A set of bytes, as of `[a-z]`. */
type ByteSet = readonly boolean[];

type Token =
  | { readonly kind: 'literal'; readonly code: number }
  | { readonly kind: 'set'; readonly bytes: ByteSet }
  /** `*`: any run without a slash. */
  | { readonly kind: 'run' }
  /** `**` between slashes: any run at all. */
  | { readonly kind: 'anything' }
  /** Stands before the two tokens of such a `**` and its `/`, which together may also stand for nothing. */
  | { readonly kind: 'optionalFolders' };

const SLASH = 0x2f;

/** Git compares bytes: each becomes one character U+0000–U+00FF. ASCII text comes back as it is. */
export function toByteString(text: string, encode: (text: string) => Buffer): string {
  // eslint-disable-next-line no-control-regex -- the whole of ASCII is meant
  return /^[\x00-\x7f]*$/.test(text) ? text : encode(text).toString('latin1');
}

/** The patterns of a file in their order. Later ones win. */
export function parseIgnoreFile(content: Buffer, ignoreCase: boolean): IgnorePattern[] {
  const withoutMark = content.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? content.subarray(3) : content;
  const patterns: IgnorePattern[] = [];
  for (const line of withoutMark.toString('latin1').split('\n')) {
    const pattern = parsePattern(line.replace(/\r$/, '').replace(/\0[^]*$/, ''), ignoreCase);
    if (pattern !== undefined) patterns.push(pattern);
  }
  return patterns;
}

/** @returns undefined for a comment, an empty line, and a pattern that can never match */
export function parsePattern(line: string, ignoreCase: boolean): IgnorePattern | undefined {
  return line.startsWith('#') ? undefined : parsePathPattern(withoutTrailingSpaces(line), ignoreCase);
}

/** The pattern by itself, as `.gitattributes` has it too: each space counts. @returns undefined when it can never match */
export function parsePathPattern(pattern: string, ignoreCase: boolean): IgnorePattern | undefined {
  let text = pattern;
  const negated = text.startsWith('!');
  if (negated) text = text.slice(1);
  const directoriesOnly = text.endsWith('/');
  if (directoriesOnly) text = text.slice(0, -1);
  if (text === '') return undefined;

  const nameOnly = !text.includes('/');
  if (text.startsWith('/')) text = text.slice(1);
  const matches = compile(text, ignoreCase);
  if (matches === undefined) return undefined;
  return { negated, directoriesOnly, matches: nameOnly ? (_path, name) => matches(name) : matches };
}

function withoutTrailingSpaces(line: string): string {
  let end = line.length;
  while (line[end - 1] === ' ') end -= 1;
  // a space after a backslash is kept, unless that backslash is itself escaped
  let backslashes = 0;
  while (line[end - 1 - backslashes] === '\\') backslashes += 1;
  return line.slice(0, backslashes % 2 === 1 ? end + 1 : end);
}

function compile(text: string, ignoreCase: boolean): ((subject: string) => boolean) | undefined {
  const fold = ignoreCase ? foldAscii : (value: string): string => value;
  // the two commonest shapes, a plain name and `*.ext`, need no tokens
  if (!/[*?[\\]/.test(text)) {
    const plain = fold(text);
    return (subject) => fold(subject) === plain;
  }
  if (/^\*[^*?[\\/]*$/.test(text)) {
    const ending = fold(text.slice(1));
    return (subject) =>
      fold(subject).endsWith(ending) && !subject.slice(0, subject.length - ending.length).includes('/');
  }
  const tokens = tokenize(text, ignoreCase);
  return tokens === undefined ? undefined : (subject) => matchTokens(tokens, fold(subject));
}

/** @returns undefined when git takes the pattern as broken: it then matches nothing */
function tokenize(text: string, ignoreCase: boolean): Token[] | undefined {
  const tokens: Token[] = [];
  // Git compares the part before the first special character by itself and then starts anew behind it,
  // so that a `**` there counts as standing at the beginning: `a**/b` matches `ax/y/b`.
  const literalEnd = text.search(/[*?[\\]/);
  for (let at = 0; at < text.length;) {
    const character = text[at] ?? '';
    if (character === '*') {
      let end = at + 1;
      while (text[end] === '*') end += 1;
      const opens = at === literalEnd || text[at - 1] === '/';
      const closes = end === text.length || text[end] === '/' || text.startsWith('\\/', end);
      if (end - at > 1 && opens && closes) {
        if (text[end] === '/') {
          tokens.push({ kind: 'optionalFolders' }, { kind: 'anything' }, { kind: 'literal', code: SLASH });
          end += 1;
        } else {
          tokens.push({ kind: 'anything' });
        }
      } else {
        tokens.push({ kind: 'run' });
      }
      at = end;
    } else if (character === '?') {
      tokens.push({ kind: 'set', bytes: ALL_BUT_SLASH });
      at += 1;
    } else if (character === '[') {
      const set = parseSet(text, at, ignoreCase);
      if (set === undefined) return undefined;
      tokens.push({ kind: 'set', bytes: set.bytes });
      at = set.end;
    } else {
      const escaped = character === '\\';
      const literal = escaped ? text[at + 1] : character;
      if (literal === undefined) return undefined;
      // Git folds the subject, and the pattern's letters, but not one behind a backslash: `\A` then matches nothing.
      const folded = ignoreCase && !escaped ? foldAscii(literal) : literal;
      tokens.push({ kind: 'literal', code: folded.charCodeAt(0) });
      at += escaped ? 2 : 1;
    }
  }
  return tokens;
}

const ALL_BUT_SLASH: ByteSet = Array.from({ length: 256 }, (_, code) => code !== SLASH);

/** What `[[:name:]]` stands for; in the C locale, as git has it. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  cntrl: /[\0-\x1f\x7f]/, // eslint-disable-line no-control-regex -- the class is about them
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[A-Fa-f0-9]/,
};

/** @param start the place of `[` */
function parseSet(text: string, start: number, ignoreCase: boolean): { bytes: ByteSet; end: number } | undefined {
  const inSet: boolean[] = Array.from({ length: 256 }, () => false);
  let at = start + 1;
  const negated = text[at] === '!' || text[at] === '^';
  if (negated) at += 1;

  // The name is compared in lower case. As in git, ranges and classes follow it there but a single capital
  // does not: `[A-B]` matches `a`, `[A]` matches nothing.
  const addFolded = (code: number): void => {
    inSet[code] = true;
    if (ignoreCase && code >= 0x41 && code <= 0x5a) inSet[code + 0x20] = true;
  };

  /** The character that a following `-` would start a range from. */
  let rangeStart: number | undefined;
  for (let isFirst = true; ; isFirst = false) {
    const character = text[at];
    if (character === undefined) return undefined;
    if (character === ']' && !isFirst) break;

    if (character === '-' && rangeStart !== undefined && text[at + 1] !== undefined && text[at + 1] !== ']') {
      at += 1;
      if (text[at] === '\\') at += 1;
      const rangeEnd = text[at];
      if (rangeEnd === undefined) return undefined;
      for (let code = rangeStart; code <= rangeEnd.charCodeAt(0); code += 1) addFolded(code);
      rangeStart = undefined;
      at += 1;
      continue;
    }
    if (character === '[' && text[at + 1] === ':') {
      const close = text.indexOf(']', at + 2);
      if (close === -1) return undefined;
      // at least the colon that opened it must not be the one that closes it
      if (close > at + 2 && text[close - 1] === ':') {
        const members = CLASSES[text.slice(at + 2, close - 1)];
        if (members === undefined) return undefined;
        for (let code = 0; code < 128; code += 1) if (members.test(String.fromCharCode(code))) addFolded(code);
        rangeStart = undefined;
        at = close + 1;
        continue;
      }
    }
    if (character === '\\') at += 1;
    const literal = text[at];
    if (literal === undefined) return undefined;
    rangeStart = literal.charCodeAt(0);
    inSet[rangeStart] = true;
    at += 1;
  }

  return { bytes: inSet.map((isIn, code) => isIn !== negated && code !== SLASH), end: at + 1 };
}

/**
 * Follows all ways through the pattern at once: `reached[i]` says that the tokens before `i` can match
 * what was read so far. So the time is bounded whatever the pattern.
 */
function matchTokens(tokens: readonly Token[], subject: string): boolean {
  let reached = new Uint8Array(tokens.length + 1);
  let next = new Uint8Array(tokens.length + 1);
  reached[0] = 1;
  passOver(tokens, reached);
  for (let position = 0; position < subject.length; position += 1) {
    const code = subject.charCodeAt(position);
    next.fill(0);
    let isAlive = false;
    for (const [at, token] of tokens.entries()) {
      if (reached[at] === 0) continue;
      const target = step(token, at, code);
      if (target === undefined) continue;
      next[target] = 1;
      isAlive = true;
    }
    if (!isAlive) return false;
    passOver(tokens, next);
    [reached, next] = [next, reached];
  }
  return reached[tokens.length] === 1;
}

/** The token to be at after `code` was read at token `at`; undefined when it cannot be read there. */
function step(token: Token, at: number, code: number): number | undefined {
  switch (token.kind) {
    case 'literal':
      return code === token.code ? at + 1 : undefined;
    case 'set':
      return token.bytes[code] === true ? at + 1 : undefined;
    case 'run':
      return code === SLASH ? undefined : at;
    case 'anything':
      return at;
    case 'optionalFolders':
      return undefined;
  }
}

/** What is reached without reading: the token after a run, and all that may be left out. */
function passOver(tokens: readonly Token[], reached: Uint8Array): void {
  for (const [at, token] of tokens.entries()) {
    if (reached[at] === 0 || token.kind === 'literal' || token.kind === 'set') continue;
    reached[at + 1] = 1;
    if (token.kind === 'optionalFolders') reached[at + 3] = 1;
  }
}

function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
