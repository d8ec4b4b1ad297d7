import { join } from 'node:path';
import { namesIn, readFileIfExists, removeFile, writeFileAtomic } from '../disk/durable.js';
import { isOid, type Oid, type RefName } from '../git/ids.js';
import { encodeEntry, parseEntry, type NoteEntry } from './note-entry.js';
import { kbDirectory } from './kb-directory.js';
import type { Kb } from './open.js';

const FOLDER = 'saved';

/**
 * Notes that are local commits until the remote can be reached, by commit. When others have written to the same
 * place meanwhile, such a commit is not merged as text: its note is made again, so that an append stays an append.
 * A note whose file is gone is merged like any other commit.
 * @throws KbError E_STORAGE
 */
export function saveNotes(kb: Kb, notes: ReadonlyMap<Oid, NoteEntry>): void {
  if (notes.size === 0) return;
  const folder = join(kbDirectory(kb), FOLDER);
  kb.surroundings.disk.mkdirSync(folder, { recursive: true });
  for (const [commit, entry] of notes) {
    writeFileAtomic(kb.surroundings.disk, join(folder, `${commit}.json`), encodeEntry(entry));
  }
}

export function findSavedNote(kb: Kb, commit: Oid): NoteEntry | undefined {
  const data = readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', FOLDER, `${commit}.json`));
  return data === undefined ? undefined : parseEntry(data);
}

/**
 * Writes down, before the push, as which commit a saved note is about to go out. If the process dies before the branch
 * has followed, the branch still holds the old commit, and its note must not be made a third time.
 */
export function recordRemade(kb: Kb, saved: Oid, remade: Oid): void {
  const before = remadeAs(kb, saved);
  if (before.includes(remade)) return;
  const folder = join(kbDirectory(kb), FOLDER);
  kb.surroundings.disk.mkdirSync(folder, { recursive: true });
  const file = join(folder, `${saved}.remade`);
  writeFileAtomic(kb.surroundings.disk, file, [...before, remade].map((oid) => `${oid}\n`).join(''));
}

/** The commits as which a saved note may have gone out. */
export function remadeAs(kb: Kb, saved: Oid): Oid[] {
  const data = readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', FOLDER, `${saved}.remade`));
  return (data?.toString('latin1') ?? '').split('\n').filter(isOid);
}

/** All that the branch holds has landed. */
export function forgetSavedNotes(kb: Kb, branch: RefName): void {
  const folder = join(kb.gitDir, 'kb', FOLDER);
  const names = namesIn(kb.surroundings.disk, folder);
  const saved = names.map((name) => name.replace(/\.json$/, '')).filter(isOid);
  const others = new Map(saved.map((commit) => [commit as string, findSavedNote(kb, commit)?.branch]));
  for (const name of names) {
    const commit = name.replace(/\.(json|remade)$/, '');
    const isOther = isOid(commit) && (others.get(commit) ?? branch) !== branch;
    if (!isOther) removeFile(kb.surroundings.disk, join(folder, name));
  }
}
