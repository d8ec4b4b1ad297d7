import { KbError } from '../../errors.js';
import { isOid, type Oid } from '../ids.js';
import { decodePath, encodePath } from '../paths.js';
import { expectType, type ObjectSource } from './object.js';

export interface Signature {
  readonly name: string;
  readonly email: string;
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** `+0130` */
  readonly timezone: string;
}

/** Text is decoded as a RepoPath is, so that a message in another encoding survives the way there and back. */
export interface Commit {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly author: Signature;
  readonly committer: Signature;
  readonly message: string;
  /**
   * Other headers (`encoding`, `gpgsig`, `mergetag` …) in order, each with its continuation lines, without
   * the last line break. Whoever makes a changed commit of this one leaves `gpgsig` out: it signs these bytes.
   */
  readonly extraHeaders?: readonly string[];
}

/**
 * Source of the format: git's `commit.c`, `parse_commit_buffer` (headers) and `commit_tree_extended` (order).
 * @throws KbError E_CORRUPT when tree, author or committer is missing or an id is none
 */
export function parseCommit(data: Buffer): Commit {
  const end = headerEnd(data);
  const headers = unfold(decodePath(data.subarray(0, end)));
  const parents: Oid[] = [];
  let at = 0;
  const tree = idOf(headers[at++], 'tree ');
  for (; headers[at]?.startsWith('parent ') === true; at++) parents.push(idOf(headers[at], 'parent '));
  const author = parseSignature(valueOf(headers[at++], 'author '));
  const committer = parseSignature(valueOf(headers[at++], 'committer '));
  const extraHeaders = headers.slice(at);
  const message = decodePath(data.subarray(Math.min(data.length, end + 2)));
  return { tree, parents, author, committer, message, ...(extraHeaders.length === 0 ? {} : { extraHeaders }) };
}

export function serializeCommit(commit: Commit): Buffer {
  const headers = [
    `tree ${commit.tree}`,
    ...commit.parents.map((parent) => `parent ${parent}`),
    `author ${signatureText(commit.author)}`,
    `committer ${signatureText(commit.committer)}`,
    ...(commit.extraHeaders ?? []),
  ];
  return encodePath(`${headers.join('\n')}\n\n${commit.message}`);
}

/** @throws KbError E_CORRUPT when missing, damaged or no commit */
export function readCommit(source: ObjectSource, oid: Oid): Commit {
  return parseCommit(expectType(source.read(oid), 'commit', oid));
}

/** What a walk over history needs of a commit, without decoding the rest. */
export interface CommitLinks {
  readonly parents: readonly Oid[];
  /** Committer time in seconds; 0 where it cannot be read. */
  readonly date: number;
}

/** @throws KbError E_CORRUPT */
export function readCommitLinks(source: ObjectSource, oid: Oid): CommitLinks {
  const data = expectType(source.read(oid), 'commit', oid);
  const headers = data.toString('latin1', 0, headerEnd(data)).split('\n');
  idOf(headers[0], 'tree ');
  const parents: Oid[] = [];
  let at = 1;
  for (; headers[at]?.startsWith('parent ') === true; at++) parents.push(idOf(headers[at], 'parent '));
  valueOf(headers[at], 'author ');
  return { parents, date: parseSignature(valueOf(headers[at + 1], 'committer ')).timestamp };
}

/**
 * `Name <email> 1700000000 +0100`, cleaned as git's `ident.c` does: what could end the field early is taken
 * out, and "crud" (controls, spaces, `.,:;<>"\'`) is cut off both ends.
 * @throws KbError E_USAGE when nothing is left of the name, or time or zone are impossible
 */
export function formatSignature(signature: Signature): string {
  if (cleanIdentity(signature.name) === '') {
    throw new KbError('E_USAGE', `an author needs a name: nothing is left of ${JSON.stringify(signature.name)}`, {
      hint: 'set one with --author "Name <email>", or: git config user.name "Name"',
    });
  }
  if (!Number.isSafeInteger(signature.timestamp) || signature.timestamp < 0) {
    throw new KbError('E_USAGE', `not a time in whole seconds since 1970: ${signature.timestamp}`);
  }
  if (!/^[+-]\d{4}$/.test(signature.timezone)) {
    throw new KbError('E_USAGE', `not a time zone such as +0130: ${JSON.stringify(signature.timezone)}`);
  }
  return signatureText(signature);
}

/** A name or an email as it may stand in a commit; may come out empty. */
export function cleanIdentity(text: string): string {
  return text
    .replace(/[\0\n<>]/g, '')
    .replace(CRUD_BEFORE, '')
    .replace(CRUD_AFTER, '');
}

const CRUD_BEFORE = /^[\0-\x20.,:;<>"\\']+/;
const CRUD_AFTER = /[\0-\x20.,:;<>"\\']+$/;

// Not strict: the author of a commit that is replayed may be one that git would refuse today.
function signatureText({ name, email, timestamp, timezone }: Signature): string {
  return `${cleanIdentity(name)} <${cleanIdentity(email)}> ${timestamp} ${timezone}`;
}

/** Reads what git reads: broken identities exist in old histories, and only their own fields suffer. */
export function parseSignature(text: string): Signature {
  const open = text.indexOf('<');
  const close = text.lastIndexOf('>');
  if (open < 0 || close < open) return { name: text.trim(), email: '', timestamp: 0, timezone: '+0000' };
  const when = /^ *(\d{1,15}) +([+-]\d{4})/.exec(text.slice(close + 1));
  return {
    name: text.slice(0, open).replace(/ $/, ''),
    email: text.slice(open + 1, close),
    timestamp: Number(when?.[1] ?? 0),
    timezone: when?.[2] ?? '+0000',
  };
}

/** @throws KbError E_CORRUPT when a received commit is none that git could read */
export function verifyCommit(data: Buffer): void {
  const end = headerEnd(data);
  const headers = data.toString('latin1', 0, end);
  if (headers.includes('\0')) throw malformed('a header holds a NUL');
  if (!COMMIT_SHAPE.test(headers)) throw malformed('tree, parents, author and committer do not stand as they must');
}

const COMMIT_SHAPE =
  /^tree [0-9a-f]{40}\n(?:parent [0-9a-f]{40}\n)*author [^\n<>]*<[^\n]*>[^\n]*\ncommitter [^\n<>]*<[^\n]*>[^\n]*(?:\n|$)/;

/** @throws KbError E_CORRUPT when a received tag is none that git could read */
export function verifyTag(data: Buffer): void {
  if (
    !/^object [0-9a-f]{40}\ntype (?:commit|tree|blob|tag)\ntag [^\n]+(?:\n|$)/.test(
      data.toString('latin1', 0, headerEnd(data)),
    )
  ) {
    throw new KbError('E_CORRUPT', 'a tag is malformed');
  }
}

/** Where the headers end (an empty line, or the end of the data). */
function headerEnd(data: Buffer): number {
  const end = data.indexOf('\n\n');
  return end < 0 ? data.length : end;
}

/** Header lines, each with the lines that continue it (they begin with a space). */
function unfold(text: string): string[] {
  const headers: string[] = [];
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const last = headers.at(-1);
    if (line.startsWith(' ') && last !== undefined) headers[headers.length - 1] = `${last}\n${line}`;
    else headers.push(line);
  }
  return headers;
}

function valueOf(header: string | undefined, key: string): string {
  if (header?.startsWith(key) === true) return header.slice(key.length);
  throw malformed(`it has no ${key}line where one belongs`);
}

function idOf(header: string | undefined, key: string): Oid {
  const value = valueOf(header, key);
  if (isOid(value)) return value;
  throw malformed(`its ${key}line holds no object id`);
}

function malformed(why: string): KbError {
  return new KbError('E_CORRUPT', `a commit is malformed: ${why}`);
}
