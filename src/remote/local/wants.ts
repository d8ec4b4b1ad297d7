import { KbError } from '../../errors.js';
import { asOid, type Oid } from '../../git/ids.js';
import type { ObjectStore } from '../../git/objects/store.js';

export interface ResolvedWants {
  readonly commits: readonly Oid[];
  readonly trees: readonly Oid[];
  /** Tags and blobs: sent as they are. */
  readonly others: readonly Oid[];
}

/** A tag of a tag of a tag … ends somewhere. */
const MAX_TAG_DEPTH = 10;

/**
 * What the wanted ids stand for, annotated tags followed to what they name.
 * @throws KbError E_NETWORK (retryable) when the remote no longer has one: its refs moved and were cleaned up
 */
export function resolveWants(store: ObjectStore, wants: readonly Oid[]): ResolvedWants {
  const commits = new Set<Oid>();
  const trees = new Set<Oid>();
  const others = new Set<Oid>();
  for (const want of wants) {
    let oid = want;
    let type = typeOf(store, oid);
    for (let depth = 0; type === 'tag' && depth < MAX_TAG_DEPTH; depth++) {
      others.add(oid);
      const target = /^object ([0-9a-f]{40})$/m.exec(store.readTyped(oid, 'tag').toString('latin1'));
      oid = asOid(target?.[1] ?? '', 'tag target');
      type = typeOf(store, oid);
    }
    (type === 'commit' ? commits : type === 'tree' ? trees : others).add(oid);
  }
  return { commits: [...commits], trees: [...trees], others: [...others] };
}

function typeOf(store: ObjectStore, oid: Oid): string {
  const header = store.header(oid);
  if (header !== undefined) return header.type;
  throw new KbError('E_NETWORK', `the remote has no object ${oid} any more`, {
    hint: 'run the same command again',
    details: { oid },
  });
}
