import type { KbError } from '../errors.js';
import type { Oid, RefName } from '../git/ids.js';
import type { ObjectSource } from '../git/objects/object.js';

/** What a remote said about its refs. */
export interface Discovery {
  /** Full names (`refs/…`); HEAD itself, peeled tags and names that git would refuse are left out. */
  readonly refs: ReadonlyMap<RefName, Oid>;
  /** The branch that HEAD names there, even if it has no commit yet; undefined where the remote does not say. */
  readonly head?: RefName;
  /** The remote has no ref at all (with prefixes: none under them and no HEAD commit). */
  readonly empty: boolean;
}

export interface FetchProgress {
  /** The remote's own word for what it does, made safe to print; `Receiving objects` while the pack comes in. */
  readonly phase: string;
  readonly done?: number;
  readonly total?: number;
  /** Bytes of the pack received so far. */
  readonly bytes: number;
}

export interface FetchRequest {
  readonly wants: readonly Oid[];
  readonly haves: readonly Oid[];
  /** Commits whose parents are not there on our side. */
  readonly shallow: ReadonlySet<Oid>;
  /** Commits to have from each tip, 1 = the tip alone. */
  readonly depth?: number;
  /** Make a shallow history whole. Not together with `depth`. */
  readonly deepenTo?: 'full';
  /**
   * Commits to have in addition below each commit of `shallow` that the remote's branches lead to. Not together with
   * `depth` or `deepenTo`. A remote that cannot do this may send all.
   */
  readonly deepenBy?: number;
  /** What the pack may leave out, such as `blob:none` (git-rev-list(1), `--filter`). A remote that cannot do it sends all. */
  readonly filter?: string;
  /** Gets the raw bytes of the pack, in order. What it throws ends the fetch and is passed on. */
  readonly sink: { write(chunk: Uint8Array): void };
  readonly onProgress?: (progress: FetchProgress) => void;
}

export interface FetchResult {
  /** Commits that are shallow now and were not before. */
  readonly shallow: readonly Oid[];
  /** Commits that were shallow and have their parents now. */
  readonly unshallow: readonly Oid[];
  /** No pack was needed: nothing was written to the sink. */
  readonly empty: boolean;
}

export interface PushRequest {
  readonly ref: RefName;
  /** The value that the remote must have; null: the ref must not exist there. */
  readonly from: Oid | null;
  readonly to: Oid;
  readonly objects: ObjectSource;
  /** Every object that the remote lacks. */
  readonly oids: readonly Oid[];
  readonly shallow: ReadonlySet<Oid>;
  /** Called right before the bytes that can move the ref leave; what it throws stops the push and is passed on. */
  readonly fence?: () => void;
  /** Formatted signature for the reflog of a local remote. */
  readonly who?: string;
}

export type PushOutcome =
  | { readonly kind: 'landed' }
  /** The ref moved or was locked: fetch and try again. */
  | { readonly kind: 'race' }
  /** The remote's policy said no (hook, protected branch); the text is safe to print. */
  | { readonly kind: 'refused'; readonly message: string }
  /** The request went out and no verdict came back: it may have landed. Look before trying again. */
  | { readonly kind: 'unknown'; readonly cause: KbError };

/** One repository elsewhere, for one cycle. Calls are made one after the other, never at once. */
export interface Remote {
  /** Without credentials. */
  readonly displayUrl: string;
  /**
   * Where the refs are. `write` needs push rights and prepares for {@link Remote.push}; `read` lists refs under the prefixes.
   * @throws KbError E_NETWORK, E_AUTH
   */
  discover(intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery>;
  /** @throws KbError E_NETWORK, E_AUTH; whatever the sink throws */
  fetch(request: FetchRequest): Promise<FetchResult>;
  /**
   * Whether the remote heeds {@link FetchRequest.filter}, and gives single objects afterwards (at most one request).
   * Without this it does not.
   * @throws KbError E_NETWORK, E_AUTH
   */
  canFilter?(): Promise<boolean>;
  /**
   * Moves one ref by compare-and-swap; never by force.
   * @throws KbError E_NETWORK, E_AUTH: only when nothing can have changed on the remote
   */
  push(request: PushRequest): Promise<PushOutcome>;
  /**
   * Where a push is told as landed before the remote has ended its reply: waits for that end. Until then its hooks run,
   * and some servers end them with the connection. Call it before `close`.
   */
  heardOut?(): Promise<void>;
  /** Called when a request has left, all of it. A remote may never do that. */
  onSent?: (() => void) | undefined;
  /** HTTP requests, or ssh connections, made so far; 0 for a local remote. */
  readonly requests: number;
  /**
   * How far the remote's clock is ahead of this machine's, ms, by its last reply; to a second and the time of the
   * reply. undefined: it has not said.
   */
  readonly clockAheadMs?: number | undefined;
  /** Resolves when nothing that was started for it runs any more, soon in any case; never rejects. */
  close(): Promise<void>;
}
