import type { KbError } from '../errors.js';
import type { LfsObject, LfsOid } from './pointer.js';

export interface LfsProgress {
  readonly done: number;
  readonly total: number;
  /** Moved so far. */
  readonly bytes: number;
}

export interface Transfer {
  readonly objects: readonly LfsObject[];
  /** Full name of the branch that it is for. */
  readonly ref?: string;
  readonly onProgress?: (progress: LfsProgress) => void;
}

/** Whoever has the large files of the remote. Calls are made one after the other. */
export interface LfsPeer {
  /** Without credentials. */
  readonly displayUrl: string;
  /**
   * Brings files into the store.
   * @returns those that could not be had, each with the reason
   * @throws KbError E_NETWORK, E_AUTH when nobody answers at all; E_STORAGE, the abort reason
   */
  fetch(transfer: Transfer): Promise<ReadonlyMap<LfsOid, KbError>>;
  /**
   * Makes sure that the other side has these files, whole and proved.
   * @throws KbError E_NETWORK, E_AUTH, E_REFUSED, E_STORAGE when it does not have all of them; E_CORRUPT when one that
   *   it lacks is damaged or missing here
   */
  send(transfer: Transfer): Promise<void>;
  /** HTTP requests made so far. */
  readonly requests: number;
  close(): void;
}
