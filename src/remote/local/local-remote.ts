import { asStorageError, isErrno } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { isKbError } from '../../errors.js';
import { ZERO_OID, type Oid, type RefName } from '../../git/ids.js';
import { lockMarksOf, sweepDeadLocks } from '../../disk/lock-marks.js';
import { readShallow } from '../../git/objects/history.js';
import { objectsOfTree, objectsToSend } from '../../git/objects/objects-to-send.js';
import { writePack } from '../../git/objects/pack-writer.js';
import { ObjectStore } from '../../git/objects/store.js';
import { RefMoved, Refs } from '../../git/refs/refs.js';
import { printable } from '../../printable.js';
import type { RemoteOptions } from '../open.js';
import type { Discovery, FetchRequest, FetchResult, PushOutcome, PushRequest, Remote } from '../remote.js';
import { checkedOutRefusal } from './checked-out.js';
import { commitsToSend } from './commits-to-send.js';
import { requireConnected } from './connectivity.js';
import { Deadline } from './deadline.js';
import { Hooks, type HookVerdict } from './hooks.js';
import { openRepository, type LocalRepository } from './repository.js';
import { resolveWants } from './wants.js';

/** After so many bytes signals and timers get their turn. */
const BYTES_BETWEEN_PAUSES = 1024 * 1024;
const UNKNOWN_SIGNER = 'kb <kb@localhost> 0 +0000';

/**
 * Opens a repository on this machine as a remote.
 * @param path a bare repository, the root of a work tree, or its `.git`
 * @throws KbError E_USAGE when there is none; E_UNSAFE_STATE when another user owns it or kb cannot use its
 *   format (SHA-256, reftable, alternates, linked work tree); E_STORAGE
 */
export function openLocalRemote(path: string, options: RemoteOptions): Promise<Remote> {
  // A promise even though nothing waits here: opening a remote of any kind looks the same to the caller.
  return Promise.resolve().then(() => {
    options.signal?.throwIfAborted();
    try {
      return new LocalRemote(path, openRepository(options.disk, path, options.safeDirectories ?? (() => [])), options);
    } catch (error) {
      throw asStorageError(error, `open the remote ${path}`);
    }
  });
}

/**
 * A remote in this process: the same as a server, without the wire. It takes the remote's own ref locks,
 * so native git and any number of kb can push to the same repository at once.
 */
export class LocalRemote implements Remote {
  readonly requests = 0;
  private readonly disk: Disk;
  private readonly store: ObjectStore;
  private readonly refs: Refs;
  private readonly deadline: Deadline;

  constructor(
    readonly displayUrl: string,
    private readonly repository: LocalRepository,
    private readonly options: RemoteOptions,
  ) {
    this.disk = options.disk;
    const process = options.process?.();
    const marks = process === undefined ? {} : { marks: lockMarksOf(repository.gitDir, () => process.word) };
    this.refs = Refs.open(options.disk, repository.gitDir, marks);
    this.store = ObjectStore.open(options.disk, repository.gitDir);
    this.clearDeadLocks(process);
    const clock = options.clock;
    this.deadline = new Deadline(options.timeoutMs, options.signal, () => clock?.now() ?? performance.now());
  }

  /** A kb that was killed while it moved a ref would block everybody's pushes, native git's too. */
  private clearDeadLocks(process: ReturnType<NonNullable<RemoteOptions['process']>> | undefined): void {
    if (process === undefined) return;
    try {
      sweepDeadLocks(this.disk, this.repository.gitDir, (word) => process.isDead(word), process.word);
    } catch (error) {
      // whoever may only read here cannot clear anything, and needs not
      if (!isErrno(error, 'EACCES', 'EPERM', 'EROFS')) throw error;
    }
  }

  discover(_intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery> {
    return this.doing('read the refs of', () => {
      const head = this.refs.head();
      const refs = new Map<RefName, Oid>();
      for (const prefix of prefixes.length === 0 ? ['refs/'] : prefixes) {
        if (prefix !== 'HEAD') for (const [name, oid] of this.refs.list(prefix)) refs.set(name, oid);
        // who asks for HEAD wants to know where the default branch is, whatever its name
        else if (head.branch !== undefined && head.oid !== undefined) refs.set(head.branch, head.oid);
      }
      const empty = refs.size === 0 && head.oid === undefined;
      return { refs, empty, ...(head.branch === undefined ? {} : { head: head.branch }) };
    });
  }

  fetch(request: FetchRequest): Promise<FetchResult> {
    return this.doing('fetch from', async () => {
      const wants = resolveWants(this.store, request.wants);
      const haves = request.haves.filter((oid) => this.store.header(oid)?.type === 'commit');
      const history = commitsToSend(this.store, {
        wants: wants.commits,
        haves,
        receiverShallow: request.shallow,
        sourceShallow: readShallow(this.disk, this.repository.gitDir),
        depth: request.deepenTo ?? request.depth,
        deepenBy: request.deepenBy,
      });
      const oids = new Set<Oid>();
      const collect = async (found: Iterable<Oid>): Promise<void> => {
        for (const oid of found) {
          oids.add(oid);
          if (oids.size % 10_000 === 0) await this.deadline.pause();
        }
      };
      await collect(objectsToSend(this.store, history, haves));
      await collect(wants.others.filter((oid) => !request.haves.includes(oid)));
      for (const tree of wants.trees) await collect(objectsOfTree(this.store, tree));
      if (oids.size > 0) await this.send([...oids], request);
      return { shallow: history.shallow, unshallow: history.unshallow, empty: oids.size === 0 };
    });
  }

  push(request: PushRequest): Promise<PushOutcome> {
    return this.doing('push to', async () => {
      const refusal = checkedOutRefusal(this.disk, this.repository, request.ref);
      if (refusal !== undefined) return { kind: 'refused', message: printable(refusal) };
      // A look before the work; what decides is the compare-and-swap under the ref's lock.
      if ((this.refs.resolve(request.ref) ?? null) !== request.from) return { kind: 'race' };
      const hooks = new Hooks(this.disk, this.repository, {
        env: this.options.env,
        remainingMs: () => this.deadline.remainingMs,
        signal: this.options.signal,
      });
      hooks.requireOwn();
      await this.takeIn(request);

      const move = { ref: request.ref, from: request.from ?? ZERO_OID, to: request.to };
      const before = await hooks.preReceive(move);
      if (!before.accepted) return refusedBy('pre-receive', before);
      const update = await hooks.update(move);
      if (!update.accepted) return refusedBy('update', update);
      this.deadline.check();
      const outcome = this.moveRef(request);
      if (outcome.kind === 'landed') await hooks.afterwards(move);
      return outcome;
    });
  }

  close(): Promise<void> {
    this.store.close();
    return Promise.resolve();
  }

  private async send(oids: readonly Oid[], request: FetchRequest): Promise<void> {
    let bytes = 0;
    let pauseAt = 0;
    for (const chunk of writePack(this.store, oids)) {
      request.sink.write(chunk);
      bytes += chunk.length;
      if (bytes < pauseAt) continue;
      pauseAt = bytes + BYTES_BETWEEN_PAUSES;
      request.onProgress?.({ phase: 'Receiving objects', bytes });
      await this.deadline.pause();
    }
    request.onProgress?.({ phase: 'Receiving objects', done: oids.length, total: oids.length, bytes });
  }

  /**
   * Objects first, all of them and durably, then the ref: whatever stops this in between leaves objects
   * that nothing leads to, which git's own housekeeping takes away.
   */
  private async takeIn(request: PushRequest): Promise<void> {
    const oids = request.oids.filter((oid) => !this.store.hasWithoutRescan(oid));
    requireConnected({
      to: request.to,
      tips: this.knownTips(request.from),
      pushed: request.objects,
      pushedOids: new Set(oids),
      remote: this.store,
      remoteShallow: readShallow(this.disk, this.repository.gitDir),
    });
    if (oids.length === 0) return;
    const receiver = this.store.receivePack();
    try {
      let sincePause = 0;
      for (const chunk of writePack(request.objects, oids)) {
        receiver.write(chunk);
        sincePause += chunk.length;
        if (sincePause < BYTES_BETWEEN_PAUSES) continue;
        sincePause = 0;
        await this.deadline.pause();
      }
      this.deadline.check();
      receiver.finish();
    } catch (error) {
      receiver.abort();
      throw error;
    }
  }

  /** A new branch begins somewhere in the history of the others; a known one goes on from where it is. */
  private knownTips(from: Oid | null): Oid[] {
    const tips = from === null ? this.refs.list('refs/heads/').values() : [from];
    return [...new Set(tips)].filter((oid) => this.store.header(oid)?.type === 'commit');
  }

  private moveRef(request: PushRequest): PushOutcome {
    const fenced = { threw: false };
    const fence = (): void => {
      try {
        request.fence?.();
      } catch (error) {
        fenced.threw = true;
        throw error;
      }
    };
    try {
      this.refs.update({
        name: request.ref,
        to: request.to,
        expected: request.from,
        message: 'push',
        who: request.who ?? UNKNOWN_SIGNER,
        fence,
      });
      return { kind: 'landed' };
    } catch (error) {
      if (fenced.threw) throw error;
      if (error instanceof RefMoved) return { kind: 'race' };
      if (isKbError(error, 'E_UNSAFE_STATE')) {
        // somebody's .lock on the ref goes away; a name that is a folder of another branch does not
        return error.retryable ? { kind: 'race' } : { kind: 'refused', message: printable(error.message) };
      }
      // The rename may have been done before the disk failed.
      if (this.refs.resolve(request.ref) === request.to) return { kind: 'landed' };
      throw error;
    }
  }

  private async doing<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    try {
      this.deadline.check();
      return await work();
    } catch (error) {
      throw asStorageError(error, `${what} the remote ${this.displayUrl}`);
    }
  }
}

function refusedBy(hook: string, verdict: HookVerdict): PushOutcome {
  const said = verdict.output
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => printable(line));
  return {
    kind: 'refused',
    message: `the remote's ${hook} hook declined${said.length === 0 ? '' : `: ${said.join('; ')}`}`,
  };
}
