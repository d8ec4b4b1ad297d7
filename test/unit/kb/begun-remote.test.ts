import { describe, expect, it } from 'vitest';
import { asOid, branchRef, type Oid } from '../../../src/git/ids.js';
import { BegunRemote } from '../../../src/kb/begun-remote.js';
import type { Discovery, FetchRequest, FetchResult, PushOutcome, Remote } from '../../../src/remote/remote.js';

const MAIN = branchRef('main');
const oid = (digit: string): Oid => asOid(digit.repeat(40));
const [SEEN, TIP, OWN] = [oid('1'), oid('2'), oid('3')];

/** Says where the branch is, gives packs, and takes down what it was asked. */
class ListeningRemote implements Remote {
  readonly displayUrl = 'https://host/kb.git';
  readonly asked: string[] = [];
  onSent: (() => void) | undefined;
  tip = TIP;
  pack: readonly number[] = [1, 2, 3];
  readonly failing = new Set<string>();

  get requests(): number {
    return this.asked.length;
  }

  discover(intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery> {
    this.ask('discover', `discover ${intent} ${prefixes.join(' ')}`);
    return Promise.resolve({ refs: new Map([[MAIN, this.tip]]), empty: false });
  }

  async fetch({ wants, haves, sink }: FetchRequest): Promise<FetchResult> {
    await Promise.resolve();
    this.ask('fetch', `fetch ${wants.join(' ')} upon ${haves.join(' ')}`);
    const chunk = Uint8Array.from(this.pack);
    sink.write(chunk);
    chunk.fill(0); // the memory of a chunk is used again
    return { shallow: [], unshallow: [], empty: false };
  }

  push(): Promise<PushOutcome> {
    this.ask('push', 'push');
    return Promise.resolve({ kind: 'landed' });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private ask(what: string, text: string): void {
    this.asked.push(text);
    if (this.failing.delete(what)) throw new Error(`${what} failed`);
  }
}

const wanted = (tip: Oid): Omit<FetchRequest, 'sink'> | undefined =>
  tip === SEEN ? undefined : { wants: [tip], haves: [SEEN, OWN], shallow: new Set([OWN]) };

async function fetchFrom(remote: Remote, over: Partial<FetchRequest> = {}): Promise<number[]> {
  const bytes: number[] = [];
  const sink = { write: (chunk: Uint8Array): void => void bytes.push(...chunk) };
  await remote.fetch({ wants: [TIP], haves: [OWN, SEEN], shallow: new Set([OWN]), ...over, sink });
  return bytes;
}

const ASKED = `discover write ${MAIN}`;
const FETCHED = `fetch ${TIP} upon ${SEEN} ${OWN}`;

describe('a remote that was asked ahead', () => {
  it('gives what it was asked, and what it fetched, without another request', async () => {
    const inner = new ListeningRemote();
    const remote = new BegunRemote(inner, MAIN, wanted);
    expect((await remote.discover('write', [MAIN])).refs.get(MAIN)).toBe(TIP);
    expect(await fetchFrom(remote)).toEqual([1, 2, 3]);
    expect(inner.asked).toEqual([ASKED, FETCHED]);
    expect(remote.requests).toBe(2);
  });

  it('fetches nothing where nothing is new', async () => {
    const inner = new ListeningRemote();
    inner.tip = SEEN;
    const remote = new BegunRemote(inner, MAIN, wanted);
    await remote.discover('write', [MAIN]);
    await remote.push({} as never);
    expect(inner.asked).toEqual([ASKED, 'push']);
  });

  it('asks again for a second look, and for another one than it began with', async () => {
    const inner = new ListeningRemote();
    inner.tip = SEEN;
    const remote = new BegunRemote(inner, MAIN, wanted);
    await remote.discover('write', [MAIN]);
    await remote.discover('write', [MAIN]);
    expect(inner.asked).toEqual([ASKED, ASKED]);
    for (const [intent, prefixes] of [
      ['read', [MAIN]],
      ['write', [MAIN, 'refs/heads/']],
      ['write', [branchRef('other')]],
    ] as const) {
      const other = new ListeningRemote();
      await new BegunRemote(other, MAIN, wanted).discover(intent, prefixes);
      expect(other.asked).toEqual([ASKED, FETCHED, `discover ${intent} ${prefixes.join(' ')}`]);
    }
  });

  it.each<[string, Partial<FetchRequest>]>([
    ['wants', { wants: [OWN] }],
    ['haves', { haves: [SEEN] }],
    ['shallow commits', { shallow: new Set() }],
    ['depth', { depth: 1 }],
    ['deepening', { deepenBy: 10 }],
    ['whole history', { deepenTo: 'full' }],
    ['filter', { filter: 'blob:none' }],
  ])('fetches again for other %s', async (_, over) => {
    const inner = new ListeningRemote();
    const remote = new BegunRemote(inner, MAIN, wanted);
    await remote.discover('write', [MAIN]);
    await fetchFrom(remote, over);
    expect(inner.asked).toHaveLength(3);
  });

  it('fetches again what was too much to be kept in memory', async () => {
    const inner = new ListeningRemote();
    inner.pack = new Array<number>(1024 * 1024 + 1).fill(7);
    const remote = new BegunRemote(inner, MAIN, wanted);
    await remote.discover('write', [MAIN]);
    inner.pack = [8];
    expect(await fetchFrom(remote)).toEqual([8]);
    expect(inner.asked).toEqual([ASKED, FETCHED, `fetch ${TIP} upon ${OWN} ${SEEN}`]);
  });

  it('tells what went wrong with the question, and fetches again where that went wrong', async () => {
    const refusing = new ListeningRemote();
    refusing.discover = () => Promise.reject(new Error('refused'));
    await expect(new BegunRemote(refusing, MAIN, wanted).discover('write', [MAIN])).rejects.toThrow('refused');

    const inner = new ListeningRemote();
    inner.failing.add('fetch');
    const remote = new BegunRemote(inner, MAIN, wanted);
    await remote.discover('write', [MAIN]);
    expect(await fetchFrom(remote)).toEqual([1, 2, 3]);
  });

  it('is asked one thing after the other: whoever wants something else waits for what was begun', async () => {
    const inner = new ListeningRemote();
    const remote = new BegunRemote(inner, MAIN, wanted);
    await remote.push({} as never);
    expect(inner.asked).toEqual([ASKED, FETCHED, 'push']);
  });

  it('says of a question that was asked ahead that it has left', async () => {
    const inner = new ListeningRemote();
    const remote = new BegunRemote(inner, MAIN, wanted);
    let told = 0;
    void remote.discover('write', [MAIN]);
    remote.onSent = () => (told += 1);
    expect(told).toBe(1);
    remote.onSent = () => (told += 1); // of the next request
    expect(told).toBe(1);
    inner.onSent?.();
    expect(told).toBe(2);
  });
});
