import type { IncomingWatch } from '../../lfs/store.js';
import { type FreeSpace, watchSpace } from '../free-space.js';
import type { LfsPlace } from './place.js';

/**
 * Watches the volumes that large files go to: first into the store, then each once more into the KB's folder.
 *
 * Invariant: fetching ends with an error while there is still room, before a file of the KB is touched. Only what the
 * server is about to send counts: a pointer alone could claim any size.
 * (test: "stops before the volume is full of large files")
 */
export class LargeFileRoom implements IncomingWatch {
  private readonly store: FreeSpace | undefined;
  /** undefined: the same volume as the store, or one that cannot be asked. */
  private readonly folder: FreeSpace | undefined;
  private readonly isOneVolume: boolean;

  /** @throws KbError E_STORAGE when a volume cannot be asked */
  constructor({ surroundings: { disk }, root }: LfsPlace, storeDirectory: string) {
    disk.mkdirSync(storeDirectory, { recursive: true });
    const doing = `fetch large files into ${root}`;
    this.isOneVolume = disk.statSync(storeDirectory).dev === disk.statSync(root).dev;
    this.store = watchSpace(disk, storeDirectory, doing);
    this.folder = this.isOneVolume ? undefined : watchSpace(disk, root, doing);
  }

  follow(done: number, soon: number): void {
    const asFiles = done + soon;
    this.store?.follow(done, this.isOneVolume ? soon + asFiles : soon);
    this.folder?.follow(0, asFiles);
  }

  /**
   * To be called when all are in the store.
   * @param bytes of the files that are about to be written
   * @throws KbError E_STORAGE
   */
  requireForFiles(bytes: number): void {
    (this.isOneVolume ? this.store : this.folder)?.require(bytes);
  }
}
