import type { Oid } from '../ids.js';
import { hashObject, type GitObject, type ObjectSource, type ObjectType } from './object.js';
import { writePack } from './pack-writer.js';
import type { ObjectStore } from './store.js';

export interface StagingOptions {
  /** A blob over this goes to disk at once. Default 8 MiB. */
  readonly spillBytes?: number;
  /** When more than this waits in memory, all of it goes to disk. Default 64 MiB. */
  readonly maxHeldBytes?: number;
  /** From this many objects on `persist` writes one pack. Default 32: each loose object costs an fsync. */
  readonly packFrom?: number;
}

/**
 * New objects of a planned change: readable at once, on disk only after `persist` (big ones at once). What a
 * crash leaves of them is named by no ref, and `git prune` takes it away.
 */
export class StagedObjects implements ObjectSource {
  private readonly spillBytes: number;
  private readonly maxHeldBytes: number;
  private readonly packFrom: number;
  private readonly order = new Set<Oid>();
  private readonly held = new Map<Oid, GitObject>();
  private heldBytes = 0;

  constructor(
    private readonly base: ObjectStore,
    options: StagingOptions = {},
  ) {
    this.spillBytes = options.spillBytes ?? 8 * 1024 * 1024;
    this.maxHeldBytes = options.maxHeldBytes ?? 64 * 1024 * 1024;
    this.packFrom = options.packFrom ?? 32;
  }

  /** The object's id; nothing else happens when it exists already. @throws KbError E_STORAGE when it had to spill */
  add(type: ObjectType, data: Buffer): Oid {
    const oid = hashObject(type, data);
    if (this.order.has(oid) || this.base.hasWithoutRescan(oid)) return oid;
    this.order.add(oid);
    if (data.length > this.spillBytes) {
      this.base.writeLoose(type, data);
      return oid;
    }
    this.held.set(oid, { type, data });
    this.heldBytes += data.length;
    if (this.heldBytes > this.maxHeldBytes) this.persist();
    return oid;
  }

  /** All that were added and were new, in order; also those that are on disk by now. */
  added(): readonly Oid[] {
    return [...this.order];
  }

  /** Of what is only in memory, bytes. */
  get unstoredBytes(): number {
    return this.heldBytes;
  }

  /** Writes what is only in memory, durably. @throws KbError E_STORAGE */
  persist(): void {
    if (this.held.size === 0) return;
    if (this.held.size < this.packFrom) {
      this.base.writeAllLoose(Array.from(this.held, ([oid, object]) => ({ oid, ...object })));
    } else {
      const receiver = this.base.receivePack({ keepLooseUnder: 0 });
      try {
        for (const piece of writePack(this, [...this.held.keys()])) receiver.write(piece);
        receiver.finish();
      } finally {
        receiver.abort();
      }
    }
    this.held.clear();
    this.heldBytes = 0;
  }

  read(oid: Oid): GitObject {
    return this.held.get(oid) ?? this.base.read(oid);
  }

  find(oid: Oid): GitObject | undefined {
    return this.held.get(oid) ?? this.base.find(oid);
  }

  has(oid: Oid): boolean {
    return this.held.has(oid) || this.base.has(oid);
  }
}
