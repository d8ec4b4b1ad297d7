import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { asStorageError } from '../disk/durable.js';
import { isKbError, type KbError } from '../errors.js';
import { openRepository } from '../remote/local/repository.js';
import { forObject } from './batch.js';
import type { LfsPeer, Transfer } from './peer.js';
import type { LfsObject, LfsOid } from './pointer.js';
import { LfsStore } from './store.js';

/**
 * A repository on this machine: its own `lfs/objects`, as git-lfs does it for paths and `file://`
 * (lfs-standalone-file of git-lfs).
 * @throws KbError as openRepository
 */
export function openLocalPeer(
  path: string,
  store: LfsStore,
  { disk, safeDirectories = () => [], signal }: LocalPeerOptions,
): LfsPeer {
  const { gitDir } = openRepository(disk, path, safeDirectories);
  return new LocalPeer(path, store, new LfsStore(disk, join(gitDir, 'lfs'), true), signal);
}

export interface LocalPeerOptions {
  readonly disk: Disk;
  readonly safeDirectories?: () => readonly string[];
  readonly signal?: AbortSignal | undefined;
}

class LocalPeer implements LfsPeer {
  readonly requests = 0;

  constructor(
    readonly displayUrl: string,
    private readonly own: LfsStore,
    private readonly other: LfsStore,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async fetch(transfer: Transfer): Promise<ReadonlyMap<LfsOid, KbError>> {
    const failed = new Map<LfsOid, KbError>();
    await this.each(transfer, (object) => {
      if (!this.other.has(object)) {
        failed.set(object.oid, forObject('E_NETWORK', object, `${this.displayUrl} does not have it`));
        return;
      }
      try {
        copyOver(this.other, this.own, object);
      } catch (error) {
        if (!isKbError(error, 'E_CORRUPT')) throw error;
        failed.set(object.oid, error);
      }
    });
    return failed;
  }

  async send(transfer: Transfer): Promise<void> {
    await this.each(transfer, (object) => {
      if (!this.other.has(object)) copyOver(this.own, this.other, object);
    });
  }

  close(): void {
    // nothing is open
  }

  private async each({ objects, onProgress }: Transfer, work: (object: LfsObject) => void): Promise<void> {
    let bytes = 0;
    for (const [at, object] of objects.entries()) {
      await new Promise(setImmediate); // a signal to stop must be heard between two files
      this.signal?.throwIfAborted();
      try {
        work(object);
      } catch (error) {
        throw asStorageError(error, 'copy large files');
      }
      bytes += object.size;
      onProgress?.({ done: at + 1, total: objects.length, bytes });
    }
  }
}

function copyOver(from: LfsStore, to: LfsStore, object: LfsObject): void {
  const incoming = to.receive(object);
  try {
    from.copy(object, (piece) => incoming.write(piece));
    incoming.finish();
  } catch (error) {
    incoming.abort();
    throw error;
  }
}
