import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readFileIfExists, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { EMPTY_TREE, isOid, type Oid } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { commitsSince, isAncestor } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import type { Tip } from './cycle.js';
import { kbDirectory } from './kb-directory.js';
import type { NoteText } from './note-plan.js';
import type { Kb } from './open.js';

const TRAILER = 'Kb-Id';
const ALLOWED = /^[\x21-\x7e]{1,200}$/;

/** The line in a commit's message that makes its key findable from every clone. */
export function idTrailer(id: string): string {
  return `${TRAILER}: ${id}`;
}

/** @throws KbError E_USAGE: a key is 1–200 visible ASCII characters, so that it survives as one trailer line */
export function requireValidId(id: string): void {
  if (!ALLOWED.test(id)) {
    throw new KbError('E_USAGE', '--id must be 1 to 200 visible ASCII characters without spaces', {
      hint: 'for example: --id build-1234',
    });
  }
}

/**
 * The commit in the tip's history that carries the key, and the note that it brought. Looks as far as the history
 * is here; the caller makes a shallow one whole first.
 */
export function findNoteById(
  kb: Kb,
  tip: Tip,
  id: string,
  note: NoteText,
): { commit: Oid; path: RepoPath } | undefined {
  if (tip.commit === undefined) return undefined;
  const shallow = kb.shallow();
  const known = knownKeys(kb, shallow);
  const found = known.keys.get(id);
  const carries = (oid: Oid, of: Oid): boolean =>
    tip.staged.has(oid) &&
    isAncestor(tip.staged, oid, of, shallow) &&
    keysIn(readCommit(tip.staged, oid).message).includes(id);
  const isReal = found !== undefined && carries(found, tip.commit);
  // What the local branch does not hold yet is read each time: it is short, and may still be dropped. Where the list
  // says what is not so, the history is read whole.
  const since = found === undefined ? known.tip : undefined;
  const commit = isReal ? found : keysSince(tip.staged, since, tip.commit, shallow).get(id);
  if (commit === undefined) return undefined;
  const path = pathOfNote(tip.staged, commit, shallow, note);
  return path === undefined ? undefined : { commit, path };
}

interface KnownKeys {
  /** Up to where history was read; undefined: nothing yet. */
  readonly tip: Oid | undefined;
  readonly keys: ReadonlyMap<string, Oid>;
}

const FILE = 'keys.json';
/** A larger list is not kept but read from history each time. Bytes. */
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * The keys in the local branch. They are kept in a file, so that a lookup costs what came since the last one; the
 * file is only ever a copy of what the commits say, and is made anew when it does not fit them.
 */
function knownKeys(kb: Kb, shallow: ReadonlySet<Oid>): KnownKeys {
  const { disk } = kb.surroundings;
  const head = kb.refs.head().oid;
  const before = readKnownKeys(kb, shallow);
  if (head === undefined || before.tip === head) return before;
  const isUsable = before.tip !== undefined && isAncestor(kb.objects, before.tip, head, shallow);
  const base = isUsable ? before : { tip: undefined, keys: new Map<string, Oid>() };
  const keys = new Map([...base.keys, ...keysSince(kb.objects, base.tip, head, shallow)]);
  const text = JSON.stringify({ format: 1, tip: head, shallow: shapeOf(shallow), keys: Object.fromEntries(keys) });
  if (text.length <= MOST_BYTES) writeFileAtomic(disk, join(kbDirectory(kb), FILE), text, { durable: false });
  return { tip: head, keys };
}

function readKnownKeys(kb: Kb, shallow: ReadonlySet<Oid>): KnownKeys {
  const nothing: KnownKeys = { tip: undefined, keys: new Map() };
  const bytes = readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', FILE));
  if (bytes === undefined || bytes.length > MOST_BYTES) return nothing;
  try {
    const { tip, shallow: shape, keys } = Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
    if (!isOid(String(tip)) || shape !== shapeOf(shallow) || !kb.objects.has(tip as Oid)) return nothing;
    if (keys === null || typeof keys !== 'object') return nothing;
    const entries = Object.entries(keys as Record<string, Oid>);
    return entries.every(([, oid]) => isOid(oid)) ? { tip: tip as Oid, keys: new Map(entries) } : nothing;
  } catch (error) {
    if (error instanceof SyntaxError) return nothing;
    throw error;
  }
}

/** More history than when the file was made: keys may be in what was not there. */
function shapeOf(shallow: ReadonlySet<Oid>): string {
  return createHash('sha1')
    .update([...shallow].sort().join(' '))
    .digest('hex');
}

/** The first commit wins: a later one with the same key came from a clone that did not know better. */
function keysSince(source: ObjectSource, base: Oid | undefined, tip: Oid, shallow: ReadonlySet<Oid>): Map<string, Oid> {
  const keys = new Map<string, Oid>();
  for (const oid of commitsSince(source, base, tip, shallow).commits) {
    for (const id of keysIn(readCommit(source, oid).message)) if (!keys.has(id)) keys.set(id, oid);
  }
  return keys;
}

/** Whether one of the commits brought a note with this key. */
export function carriesKey(source: ObjectSource, commits: readonly Oid[], id: string): boolean {
  return commits.some((oid) => keysIn(readCommit(source, oid).message).includes(id));
}

/** Squash merges put the messages of several commits into one, indented or not: each line counts by itself. */
function keysIn(message: string): string[] {
  if (!message.includes(`${TRAILER}:`)) return [];
  return message.split('\n').flatMap((line) => {
    const [name, id, ...more] = line.trim().split(/\s+/);
    return name === `${TRAILER}:` && id !== undefined && more.length === 0 ? [id] : [];
  });
}

/** A squash merge holds several notes: the one whose path was named, else the one that holds the text, else the first. */
function pathOfNote(
  source: ObjectSource,
  oid: Oid,
  shallow: ReadonlySet<Oid>,
  { target, text }: NoteText,
): RepoPath | undefined {
  const commit = readCommit(source, oid);
  const parent = shallow.has(oid) ? undefined : commit.parents[0];
  const before = parent === undefined ? EMPTY_TREE : readCommit(source, parent).tree;
  const changed = diffTrees(source, before, commit.tree).flatMap(({ path, after }) =>
    after === undefined ? [] : [{ path, blob: after.oid }],
  );
  if (changed.length > 1) {
    const named = 'path' in target ? changed.find(({ path }) => path === target.path) : undefined;
    const holds = ({ blob }: { blob: Oid }): boolean => source.read(blob).data.includes(text.trim());
    return (named ?? changed.find(holds) ?? changed[0])?.path;
  }
  return changed[0]?.path;
}
