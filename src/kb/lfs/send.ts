import { KbError } from '../../errors.js';
import { EMPTY_TREE, type Oid } from '../../git/ids.js';
import { readCommit } from '../../git/objects/commit.js';
import type { ObjectSource } from '../../git/objects/object.js';
import { diffTrees } from '../../git/objects/tree-diff.js';
import type { RepoPath } from '../../git/paths.js';
import { parsePointer, type LfsOid, type Pointer } from '../../lfs/pointer.js';
import { ProgressMeter } from '../progress-meter.js';
import type { LfsRemote } from './bring.js';
import { lfsStore, type LfsPlace } from './place.js';

export interface Sending {
  /** All that are about to be pushed. */
  readonly commits: readonly Oid[];
  /** The newest of them. */
  readonly newest: Oid;
  /** Full name of the branch on the remote. */
  readonly ref: string;
  readonly objects: ObjectSource;
  readonly shallow: ReadonlySet<Oid>;
  readonly remote: () => LfsRemote;
  /** Known to be there; what is sent is added. */
  readonly sent: Set<LfsOid>;
}

/**
 * Sends the content of all large files that these commits name, before anybody can see the commits.
 *
 * Invariant: no push of kb leaves a pointer on the remote whose content only this machine has. (test: "is there before
 * the commit is")
 * @returns HTTP requests made
 * @throws KbError E_NETWORK, E_AUTH, E_REFUSED, E_USAGE, E_UNSAFE_STATE, E_STORAGE; E_CORRUPT when a content is nowhere
 */
export async function sendLargeFiles(place: LfsPlace, sending: Sending): Promise<number> {
  const { surroundings, gitDir, gitConfig } = place;
  // Where nothing was ever stored there is nothing to send: all that most KBs pay.
  if (lfsStore({ disk: surroundings.disk, gitDir, gitConfig }).isAbsent) return 0;
  const files = newPointers(sending);
  if (files.size === 0) return 0;
  const { newest, ref, objects, remote, sent } = sending;
  const { openPeer } = await import('./open-peer.js');
  const tree = readCommit(objects, newest).tree;
  const peer = await openPeer(place, { ...remote(), operation: 'upload', tree, objects });
  const meter = new ProgressMeter(surroundings.clock, (progress) => surroundings.report(progress));
  const text = files.size === 1 ? 'sending 1 large file' : `sending ${files.size} large files`;
  surroundings.report({ kind: 'step', text });
  try {
    const pointers = [...files.values()].map(({ pointer }) => pointer);
    await peer.send({
      objects: pointers,
      ref,
      onProgress: (progress) => meter.follow('sending large files', progress),
    });
    for (const { oid } of pointers) sent.add(oid);
    return peer.requests;
  } catch (error) {
    throw named(error, files);
  } finally {
    peer.close();
  }
}

interface Named {
  readonly path: RepoPath;
  readonly pointer: Pointer;
}

/** Pointers that the commits bring, by what they are, whatever `.gitattributes` says of them by now: as git-lfs does it. */
function newPointers({ commits, objects, shallow, sent }: Sending): Map<LfsOid, Named> {
  const found = new Map<LfsOid, Named>();
  for (const oid of commits) {
    const { tree, parents } = readCommit(objects, oid);
    const known = shallow.has(oid) ? [] : parents;
    const [first = EMPTY_TREE, ...others] = known.map((parent) => readCommit(objects, parent).tree);
    // Of a merge commit only what is in none of its parents is new: the rest came with them.
    const rest = others.map((parent) => new Set(diffTrees(objects, parent, tree).map(({ path }) => path)));
    for (const { path, after } of diffTrees(objects, first, tree)) {
      if (after === undefined || !isFile(after.mode) || !rest.every((paths) => paths.has(path))) continue;
      const data = objects.find(after.oid)?.data;
      const pointer = data === undefined ? undefined : parsePointer(data);
      if (pointer !== undefined && pointer.size > 0 && !sent.has(pointer.oid))
        found.set(pointer.oid, { path, pointer });
    }
  }
  return found;
}

const isFile = (mode: number): boolean => mode === 0o100644 || mode === 0o100755;

/** An error about a file says its name. */
function named(error: unknown, files: ReadonlyMap<LfsOid, Named>): unknown {
  if (!(error instanceof KbError)) return error;
  const file = files.get(error.details['oid'] as LfsOid);
  if (file === undefined) return error;
  const { code, message, hint, retryable, details } = error;
  return new KbError(code, `${file.path}: ${message}`, {
    cause: error,
    hint,
    retryable,
    details: { ...details, path: file.path },
  });
}
