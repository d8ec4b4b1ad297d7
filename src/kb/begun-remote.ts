import type { Oid, RefName } from '../git/ids.js';
import type { Discovery, FetchRequest, FetchResult, PushOutcome, PushRequest, Remote } from '../remote/remote.js';

/** What is fetched ahead waits in memory: more than this, bytes of the pack, is better received by who can store it. */
const MOST_BYTES = 1024 * 1024;

/** What a fetch asks for. */
export type Wanted = Omit<FetchRequest, 'sink'>;

/** A fetch that was made before anybody asked for it. */
interface Fetched {
  readonly request: Wanted;
  readonly result: FetchResult;
  readonly pack: readonly Uint8Array[];
}

/**
 * A remote that was asked already where a branch is, and for what is new there: whoever asks the same gets what came,
 * without another request. All else goes on with the same conversation, and waits until that part of it is over.
 */
export class BegunRemote implements Remote {
  private answer: Promise<Discovery> | undefined;
  private readonly fetched: Promise<Fetched | undefined>;
  /** What was asked for last has left long ago. */
  private hasLeft = false;

  /** @param next what to fetch when it is known where the branch is; undefined: nothing is new */
  constructor(
    private readonly remote: Remote,
    private readonly ref: RefName,
    next: (tip: Oid) => Wanted | undefined,
  ) {
    const answer = remote.discover('write', [ref]);
    this.answer = answer;
    this.fetched = answer.then(async ({ refs }) => {
      const tip = refs.get(ref);
      const request = tip === undefined ? undefined : next(tip);
      return request === undefined ? undefined : fetchToMemory(remote, request);
    });
    // What goes wrong is told to whoever asks.
    this.fetched.catch(() => undefined);
  }

  /** Where the branch is, is known, or that it cannot be known. */
  get isAnswered(): Promise<unknown> {
    return this.answer ?? this.fetched;
  }

  get displayUrl(): string {
    return this.remote.displayUrl;
  }

  get requests(): number {
    return this.remote.requests;
  }

  get clockAheadMs(): number | undefined {
    return this.remote.clockAheadMs;
  }

  set onSent(listener: (() => void) | undefined) {
    this.remote.onSent = listener;
    if (this.hasLeft) listener?.();
    this.hasLeft = false;
  }

  async discover(intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery> {
    const { answer } = this;
    this.answer = undefined;
    if (answer !== undefined && intent === 'write' && prefixes.length === 1 && prefixes[0] === this.ref) {
      this.hasLeft = true;
      return answer;
    }
    await this.isOver();
    return this.remote.discover(intent, prefixes);
  }

  async fetch(request: FetchRequest): Promise<FetchResult> {
    const fetched = await this.isOver();
    if (fetched === undefined || !isSame(request, fetched.request)) return this.remote.fetch(request);
    for (const chunk of fetched.pack) request.sink.write(chunk);
    return fetched.result;
  }

  async canFilter(): Promise<boolean> {
    await this.isOver();
    return (await this.remote.canFilter?.()) ?? false;
  }

  async push(request: PushRequest): Promise<PushOutcome> {
    await this.isOver();
    return this.remote.push(request);
  }

  async heardOut(): Promise<void> {
    await this.remote.heardOut?.();
  }

  close(): Promise<void> {
    return this.remote.close();
  }

  /** What was begun has come to its end; a failure is met again by the next request. */
  private async isOver(): Promise<Fetched | undefined> {
    return this.fetched.catch(() => undefined);
  }
}

async function fetchToMemory(remote: Remote, request: Wanted): Promise<Fetched> {
  const pack: Uint8Array[] = [];
  let bytes = 0;
  const write = (chunk: Uint8Array): void => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error('too much to be fetched ahead');
    pack.push(Uint8Array.prototype.slice.call(chunk));
  };
  const result = await remote.fetch({ ...request, sink: { write } });
  return { request, result, pack };
}

/** Of two requests that say nothing of a depth or a filter. */
function isSame(a: FetchRequest, b: Wanted): boolean {
  if (a.depth !== undefined || a.deepenTo !== undefined || a.deepenBy !== undefined || a.filter !== undefined)
    return false;
  return hasSame(a.wants, b.wants) && hasSame(a.haves, b.haves) && hasSame([...a.shallow], [...b.shallow]);
}

function hasSame(a: readonly Oid[], b: readonly Oid[]): boolean {
  return a.length === b.length && a.every((oid) => b.includes(oid));
}
