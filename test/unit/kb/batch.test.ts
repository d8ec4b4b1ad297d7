import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { KbError, type ErrorCode } from '../../../src/errors.js';
import { branchRef, EMPTY_TREE, type Oid } from '../../../src/git/ids.js';
import { StagedObjects } from '../../../src/git/objects/staged.js';
import type { RepoPath } from '../../../src/git/paths.js';
import { Batch } from '../../../src/kb/batch.js';
import type { Tip } from '../../../src/kb/cycle.js';
import type { Hold } from '../../../src/kb/hold.js';
import { initKb } from '../../../src/kb/init.js';
import { parseAnswer, type NoteAnswer } from '../../../src/kb/note-answer.js';
import { encodeEntry, type NoteEntry } from '../../../src/kb/note-entry.js';
import { openKbAt, type Kb } from '../../../src/kb/open.js';
import { encodePushRecords, parsePushRecords, type PushRecord } from '../../../src/kb/push-record.js';
import { surroundings } from '../../../src/kb/surroundings.js';
import { EntryQueue } from '../../../src/lock/entry-queue.js';
import { SIDE_NAME, type PlaceName } from '../../../src/lock/lock.js';
import { watchedDisk } from '../../support/lock-fixtures.js';

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

const MAIN = branchRef('main');
const ME = 'c'.repeat(32);
const DEAD = 'd'.repeat(32);
const place = (number: number): PlaceName => `${String(number).padStart(9, '0')}_${'a'.repeat(32)}` as PlaceName;
const oid = (digit: string): Oid => digit.repeat(40) as Oid;

function entryOf(text: string, over: Partial<NoteEntry> = {}): NoteEntry {
  const who = { name: 'Ann', email: 'ann@example.com', timestamp: 1_700_000_000, timezone: '+0000' };
  return {
    note: {
      text,
      target: { kind: 'new', path: `${text}.md` },
      tags: [],
      properties: [],
      frontmatter: false,
      now: { epochMs: 0, offsetMinutes: 0 },
      settings: { notes: { templates: 'templates', daily: {} } },
    },
    identities: { author: who, committer: who },
    branch: MAIN,
    waiter: { word: '1.1.elsewhere', user: 'ann', host: 'here', pid: 1, since: '2026-01-02T03:04:05.000Z' },
    ...over,
  };
}

/** A KB without a commit and without a remote, its queue, and a holder of its lock whose luck the test decides. */
class Bench {
  /** Calls on the disk that change the queue, in order. */
  readonly calls: string[] = [];
  isLost = false;
  readonly queue: EntryQueue;

  private constructor(
    readonly kb: Kb,
    private readonly folder: string,
  ) {
    this.queue = new EntryQueue(kb.surroundings.disk, folder, '1.1.elsewhere');
  }

  static async make(): Promise<Bench> {
    const root = mkdtempSync(join(tmpdir(), 'kb-batch-'));
    made.push(root);
    const env = { HOME: root, GIT_CONFIG_NOSYSTEM: '1' };
    const { dir } = await initKb(surroundings({ env, cwd: root }), { directory: join(root, 'kb'), branch: 'main' });
    const noted: { by?: Bench } = {};
    const disk: Disk = watchedDisk((call, path) => noted.by?.note(call, String(path)));
    const renameSync = ((from: string, to: string) => {
      noted.by?.note('renameSync', to);
      nodeDisk.renameSync(from, to);
    }) as Disk['renameSync'];
    const watched = new Proxy(disk, {
      get: (target, name: keyof Disk): unknown => (name === 'renameSync' ? renameSync : target[name]),
    });
    const kb = await openKbAt(surroundings({ env, cwd: root, disk: watched }), dir, {});
    return (noted.by = new Bench(kb, join(kb.gitDir, 'kb', 'queue')));
  }

  readonly hold: Hold = {
    id: ME,
    waitedMs: 0,
    lost: new AbortController().signal,
    token: ME,
    isNested: false,
    served: 0,
    assertHeld: () => {
      if (this.isLost) throw new KbError('E_LOCK_LOST', 'taken away by the test');
    },
  };

  open(own?: NoteEntry | PlaceName): Batch {
    this.calls.length = 0;
    return Batch.open(this.kb, this.queue, this.hold, MAIN, own);
  }

  enqueue(number: number, entry: NoteEntry | string): void {
    this.queue.enqueue(place(number), typeof entry === 'string' ? Buffer.from(entry) : encodeEntry(entry));
  }

  /** An entry that a dead holder had claimed. */
  enqueueClaimed(number: number, entry: NoteEntry | string): void {
    this.enqueue(number, entry);
    for (const waiting of this.queue.look().waiting)
      if (waiting.place === place(number)) this.queue.claim(waiting, DEAD);
  }

  writePlan(...records: readonly PushRecord[]): void {
    this.queue.writePlan(DEAD, encodePushRecords(records));
  }

  /** Somebody stands in the line, with an entry of that number or without. */
  stand(number: number): void {
    mkdirSync(join(this.kb.root, SIDE_NAME, `wait_${place(number)}`), { recursive: true });
  }

  tip(): Tip {
    return { commit: undefined, tree: EMPTY_TREE, staged: new StagedObjects(this.kb.objects) };
  }

  /** Names in the queue's folder, without what is random in them. */
  names(): string[] {
    return readdirSync(this.folder)
      .map((name) => this.short(name))
      .sort();
  }

  ackOf(number: number): NoteAnswer | undefined {
    return parseAnswer(this.queue.findAck(place(number))?.value);
  }

  private note(call: string, path: string): void {
    if (!path.startsWith(this.folder) || !['renameSync', 'unlinkSync'].includes(call)) return;
    this.calls.push(`${call === 'renameSync' ? '+' : '-'}${this.short(path.slice(this.folder.length + 1))}`);
  }

  private short(name: string): string {
    return name
      .replace(/^0*(\d+)_a{32}/, '$1')
      .replace(ME, 'ME')
      .replace(DEAD, 'DEAD')
      .replace(/_[0-9a-f]{8}\.acks/, '.acks');
  }
}

function kept(commit: Oid, over: Partial<Extract<NoteAnswer, { kind: 'kept' }>> = {}): NoteAnswer {
  const path = 'one.md' as RepoPath;
  return { kind: 'kept', path, commit, change: 'added', branch: 'main', landed: false, batch: 1, ...over };
}

const room = (): void => undefined;
const never = (): boolean => false;
const texts = (batch: Batch): string[] => batch.open.map(({ entry }) => entry.note.text);
const codeOf = (answer: NoteAnswer | undefined): ErrorCode | undefined =>
  answer?.kind === 'failed' ? answer.error.code : undefined;

describe('what a batch takes along', () => {
  it('is first what dead holders claimed, then whose waiter has left, then the line up to the next turn', async () => {
    const bench = await Bench.make();
    for (const number of [3, 4, 6, 9]) bench.enqueue(number, entryOf(`note ${number}`));
    bench.enqueueClaimed(5, entryOf('note 5'));
    for (const number of [4, 6, 7, 9]) bench.stand(number); // 7 has no entry: a turn
    const batch = bench.open(entryOf('own'));
    expect(texts(batch)).toEqual(['note 5', 'own']);
    expect(batch.takeWaiting()).toBe(true);
    expect(texts(batch)).toEqual(['note 5', 'own', 'note 3', 'note 4', 'note 6']);
    expect(bench.names()).toEqual(['3.ME.claimed', '4.ME.claimed', '5.ME.claimed', '6.ME.claimed', '9.entry']);
    expect(batch.takeWaiting()).toBe(false);
  });

  it('has an end: the rest goes out with the next batch', async () => {
    const bench = await Bench.make();
    for (let number = 1; number <= 503; number += 1) bench.enqueue(number, entryOf(`note ${number}`));
    const batch = bench.open();
    batch.takeWaiting();
    expect(batch.size).toBe(500);
    expect(texts(batch).at(-1)).toBe('note 500');
    expect(bench.queue.look().waiting).toHaveLength(3);
    expect(batch.takeWaiting()).toBe(false);
  });

  it('has an end in bytes, too', async () => {
    const bench = await Bench.make();
    for (let number = 1; number <= 12; number += 1) {
      const note = { ...entryOf(`note ${number}`).note, text: 'x'.repeat(3.5 * 1024 * 1024) };
      bench.enqueue(number, entryOf('', { note }));
    }
    const batch = bench.open();
    batch.takeWaiting();
    expect(batch.size).toBe(10);
  });

  it.each(['', '{', '[]', '{"format":2}'])(
    'is not an entry damaged as %j: it goes, and is in nobody’s way',
    async (data) => {
      const bench = await Bench.make();
      bench.enqueueClaimed(1, data);
      bench.enqueue(2, data);
      bench.enqueue(3, entryOf('whole'));
      const batch = bench.open();
      batch.takeWaiting();
      expect(texts(batch)).toEqual(['whole']);
      expect(bench.names()).toEqual(['3.ME.claimed']);
    },
  );

  it('is not what has an ack already: a holder died before it could remove the entry', async () => {
    const bench = await Bench.make();
    bench.enqueueClaimed(1, entryOf('answered'));
    bench.queue.acknowledge(DEAD, new Map([[place(1), { waiter: 'x', value: kept(oid('1')) }]]));
    bench.enqueueClaimed(2, entryOf('open'));
    expect(texts(bench.open())).toEqual(['open']);
    expect(bench.names()).toEqual(['2.ME.claimed', 'DEAD.acks']);
  });

  it('is nothing when the lock is lost: no entry changes hands', async () => {
    const bench = await Bench.make();
    bench.enqueue(1, entryOf('waiting'));
    bench.enqueueClaimed(2, entryOf('claimed'));
    bench.isLost = true;
    expect(() => bench.open()).toThrow(expect.objectContaining({ code: 'E_LOCK_LOST' }));
    bench.isLost = false;
    const batch = bench.open();
    bench.isLost = true;
    expect(() => batch.takeWaiting()).toThrow(expect.objectContaining({ code: 'E_LOCK_LOST' }));
    expect(bench.names()).toEqual(['1.entry', '2.ME.claimed']);
  });

  it('is nothing of the queue where a note goes alone', async () => {
    const bench = await Bench.make();
    bench.enqueue(1, entryOf('waiting'));
    bench.enqueueClaimed(2, entryOf('claimed'));
    const batch = Batch.alone(bench.kb, bench.queue, bench.hold, entryOf('own'));
    expect([batch.takeWaiting(), texts(batch)]).toEqual([false, ['own']]);
    expect(bench.names()).toEqual(['1.entry', '2.DEAD.claimed']);
  });
});

describe('the plan of a batch', () => {
  it('puts each note upon the one before, and leaves out those that fail', async () => {
    const bench = await Bench.make();
    const append = { ...entryOf('x').note, text: 'more', target: { kind: 'append', path: 'one.md' } } as const;
    bench.enqueue(1, entryOf('one'));
    bench.enqueue(2, entryOf('x', { note: { ...append, target: { kind: 'append', path: 'missing.md' } } }));
    bench.enqueue(3, entryOf('other branch', { branch: branchRef('other') }));
    bench.enqueue(4, entryOf('one')); // the path is taken by then
    bench.enqueue(5, entryOf('x', { note: append }));
    const batch = bench.open();
    batch.takeWaiting();
    const tip = bench.tip();
    const target = await batch.plan(tip, 'all', room);
    batch.settle(true);
    const answers = [1, 2, 3, 4, 5].map((number) => bench.ackOf(number));
    const told = answers.map((answer) => (answer === undefined ? 'waits' : (codeOf(answer) ?? 'kept')));
    expect(told).toEqual(['kept', 'E_USAGE', 'waits', 'E_USAGE', 'kept']);
    expect(batch.branchesElsewhere).toEqual(['refs/heads/other']);
    batch.turnTo(branchRef('other'));
    expect([batch.branch, texts(batch)]).toEqual(['refs/heads/other', ['other branch']]);
    expect(answers[4]).toMatchObject({ commit: target, change: 'modified', landed: true, batch: 2 });
    expect(answers[0]).toMatchObject({ change: 'added', batch: 2 });
  });

  it('asks for room for each path that changes, and one that has none fails alone', async () => {
    const bench = await Bench.make();
    bench.enqueue(1, entryOf('one'));
    bench.enqueue(2, entryOf('two'));
    const batch = bench.open();
    batch.takeWaiting();
    await batch.plan(bench.tip(), 'all', (path) => {
      if (path === 'one.md') throw new KbError('E_UNSAFE_STATE', 'in the way');
    });
    batch.settle(true);
    expect([codeOf(bench.ackOf(1)), bench.ackOf(2)?.kind]).toEqual(['E_UNSAFE_STATE', 'kept']);
  });

  it('stops as a whole when the disk fails: that is not the note’s fault', async () => {
    const bench = await Bench.make();
    bench.enqueue(1, entryOf('one'));
    const batch = bench.open();
    batch.takeWaiting();
    const failing = batch.plan(bench.tip(), 'all', () => {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    });
    await expect(failing).rejects.toMatchObject({ code: 'E_STORAGE' });
    batch.abandon(new KbError('E_STORAGE', 'no space'));
    expect(bench.names()).toEqual(['1.entry']);
  });

  it('is made of what is new alone, where the rest is planned already', async () => {
    const bench = await Bench.make();
    bench.enqueue(1, entryOf('one'));
    const batch = bench.open();
    batch.takeWaiting();
    const tip = bench.tip();
    const first = await batch.plan(tip, 'all', room);
    bench.enqueue(2, entryOf('two'));
    batch.takeWaiting();
    const asked: string[] = [];
    const target = await batch.plan({ ...tip, commit: first }, 'new', (path) => void asked.push(path));
    expect(asked).toEqual(['two.md']);
    batch.settle(true);
    expect([bench.ackOf(1), bench.ackOf(2)]).toMatchObject([{ commit: first }, { commit: target }]);
  });
});

describe('a batch on disk', () => {
  async function planned(bench: Bench, own?: PlaceName): Promise<{ batch: Batch; target: Oid }> {
    for (const number of [1, 2]) bench.enqueue(number, entryOf(`note ${number}`));
    const batch = bench.open(own);
    batch.takeWaiting();
    const target = (await batch.plan(bench.tip(), 'all', room)) as Oid;
    bench.calls.length = 0;
    return { batch, target };
  }

  it('records what is pushed before the push, acks before it removes entries, and entries before the record', async () => {
    const bench = await Bench.make();
    const { batch, target } = await planned(bench);
    batch.record(oid('1'), target);
    expect(bench.calls).toEqual(['+ME.plan']);
    const [record] = parsePushRecords(bench.queue.readPlan(ME) ?? Buffer.alloc(0));
    expect(record).toMatchObject({ from: oid('1'), to: target });
    expect([...(record?.answers.keys() ?? [])]).toEqual([place(1), place(2)]);
    batch.settle(true);
    expect(bench.calls).toEqual(['+ME.plan', '+ME.acks', '-1.ME.claimed', '-2.ME.claimed', '-ME.plan']);
    expect(batch.size).toBe(0);
  });

  it('keeps the record while an entry in it has no answer', async () => {
    const bench = await Bench.make();
    const { batch, target } = await planned(bench);
    batch.record(undefined, target);
    const [first] = batch.open;
    batch.fail(first as NonNullable<typeof first>, new KbError('E_REFUSED', 'refused'));
    expect(bench.names()).toEqual(['2.ME.claimed', 'ME.acks', 'ME.plan']);
  });

  it('costs nothing where no note waits', async () => {
    const bench = await Bench.make();
    const batch = bench.open(entryOf('own'));
    batch.takeWaiting();
    const target = (await batch.plan(bench.tip(), 'all', room)) as Oid;
    batch.record(undefined, target);
    batch.settle(true);
    expect(bench.calls).toEqual([]);
    expect(batch.ownAnswer).toMatchObject({ kind: 'kept', commit: target, landed: true, batch: 1 });
  });

  it('touches the queue no more when the lock is lost', async () => {
    const bench = await Bench.make();
    const { batch, target } = await planned(bench, place(1));
    bench.isLost = true;
    const lost = expect.objectContaining({ code: 'E_LOCK_LOST' }) as Error;
    expect(() => batch.record(undefined, target)).toThrow(lost);
    expect(() => batch.settle(true)).toThrow(lost);
    batch.abandon(new KbError('E_LOCK_LOST', 'lost'));
    expect(bench.calls).toEqual([]);
    // Its own note has landed, or has not, all the same: what it knows of it, it may tell.
    expect(batch.ownAnswer).toMatchObject({ kind: 'kept', landed: true });
  });

  it('gives entries back that no push can have brought out, and keeps the others', async () => {
    const bench = await Bench.make();
    const { batch, target } = await planned(bench);
    batch.record(undefined, target);
    bench.enqueue(3, entryOf('note 3'));
    batch.takeWaiting();
    batch.abandon(new KbError('E_NETWORK', 'gone'));
    expect(bench.names()).toEqual(['1.ME.claimed', '2.ME.claimed', '3.entry', 'ME.plan']);
  });

  it('takes its own entry back, unless a push may have brought it out or another holder has it', async () => {
    const bench = await Bench.make();
    const { batch } = await planned(bench, place(1));
    expect(batch.takeBackOwn()).toBe(true);
    expect(bench.names()).toEqual(['2.ME.claimed']);

    const other = await Bench.make();
    const claimedAway = await planned(other, place(2));
    for (const entry of other.queue.look().claimed) other.queue.claim(entry, DEAD);
    expect(claimedAway.batch.takeBackOwn()).toBe(false);
    expect(other.names()).toEqual(['1.DEAD.claimed', '2.DEAD.claimed']);

    const third = await Bench.make();
    const pushed = await planned(third, place(2));
    pushed.batch.record(undefined, pushed.target);
    expect(pushed.batch.takeBackOwn()).toBe(false);
    expect(third.names()).toEqual(['1.ME.claimed', '2.ME.claimed', 'ME.plan']);
  });

  it('has nothing to take back where it has no entry', async () => {
    const bench = await Bench.make();
    const { batch } = await planned(bench);
    expect(batch.takeBackOwn()).toBe(false);
    expect(bench.names()).toEqual(['1.ME.claimed', '2.ME.claimed']);
  });

  it('takes its own entry back when the lock was lost before the push was written down', async () => {
    const bench = await Bench.make();
    const { batch, target } = await planned(bench, place(1));
    bench.isLost = true;
    expect(() => batch.record(undefined, target)).toThrow();
    expect(batch.takeBackOwn()).toBe(true);
  });

  it('answers, of a push that landed without a reply, what was in it, and nothing that came later', async () => {
    const bench = await Bench.make();
    const { batch, target } = await planned(bench);
    batch.record(undefined, target);
    bench.enqueue(3, entryOf('note 3'));
    batch.takeWaiting();
    await batch.plan(bench.tip(), 'all', room);
    batch.settlePushed(target);
    expect([1, 2, 3].map((number) => bench.ackOf(number)?.kind)).toEqual(['kept', 'kept', undefined]);
    expect(bench.ackOf(1)).toMatchObject({ landed: true, batch: 2 });
    expect(texts(batch)).toEqual(['note 3']);
  });

  it('tells each note which local commit it became, when there is no remote to be reached', async () => {
    const bench = await Bench.make();
    const { batch } = await planned(bench);
    const saved = (commit: Oid): KbError => new KbError('E_NETWORK', 'saved', { details: { saved: commit } });
    batch.settleSaved(saved, undefined);
    const commits = [1, 2].map((number) => {
      const answer = bench.ackOf(number);
      return answer?.kind === 'failed' ? answer.error.details['saved'] : undefined;
    });
    expect(new Set(commits).size).toBe(2);
    expect(commits.every((commit) => typeof commit === 'string')).toBe(true);
    expect(bench.names()).toEqual(['ME.acks']);
  });

  it('works on a part alone, and leaves the other part claimed', async () => {
    const bench = await Bench.make();
    const { batch } = await planned(bench);
    const [first] = batch.open;
    batch.narrow([first as NonNullable<typeof first>]);
    bench.enqueue(3, entryOf('note 3'));
    expect(batch.takeWaiting()).toBe(false);
    await batch.plan(bench.tip(), 'all', room);
    batch.settle(true);
    expect(bench.names()).toEqual(['2.ME.claimed', '3.entry', 'ME.acks']);
  });
});

describe('what a dead holder may have pushed', () => {
  const FROM = oid('1');
  const TO = oid('2');
  const isTo = (commit: Oid): boolean => commit === TO;

  async function inherit(from: PushRecord['from'] = FROM): Promise<{ bench: Bench; batch: Batch }> {
    const bench = await Bench.make();
    bench.enqueueClaimed(1, entryOf('one'));
    bench.enqueueClaimed(2, entryOf('two')); // claimed after the plan was written
    bench.writePlan({ from, to: TO, answers: new Map([[place(1), kept(oid('3'))]]) });
    return { bench, batch: bench.open() };
  }

  it('is answered where it landed, and only what was in it', async () => {
    const { bench, batch } = await inherit();
    expect(batch.isInDoubt).toBe(true);
    batch.settleInherited({ tip: oid('4') }, isTo, never);
    expect(bench.ackOf(1)).toMatchObject({ kind: 'kept', commit: oid('3'), landed: true });
    expect(texts(batch)).toEqual(['two']);
    expect(batch.isInDoubt).toBe(false);
    expect(bench.names()).toEqual(['2.ME.claimed', 'ME.acks']);
  });

  it('stays in doubt while the branch is where the push started from, or cannot be looked at', async () => {
    for (const at of [{ tip: FROM }, undefined]) {
      const { bench, batch } = await inherit();
      batch.settleInherited(at, never, never);
      expect(batch.isInDoubt).toBe(true);
      expect(texts(batch)).toEqual(['one', 'two']);
      expect(bench.names()).toContain('DEAD.plan');
    }
  });

  it('is over when the branch has moved elsewhere: no compare-and-swap of it can succeed any more', async () => {
    const { bench, batch } = await inherit();
    batch.settleInherited({ tip: oid('4') }, never, never);
    expect(batch.isInDoubt).toBe(false);
    expect(texts(batch)).toEqual(['one', 'two']);
    expect(bench.names()).toEqual(['1.ME.claimed', '2.ME.claimed']);
  });

  it('was only kept locally, in a KB without a remote: done, but not landed', async () => {
    const { bench, batch } = await inherit('local');
    batch.settleInherited(undefined, never, isTo);
    expect(bench.ackOf(1)).toMatchObject({ kind: 'kept', commit: oid('3'), landed: false });
  });

  it('was only kept locally, in a KB whose remote could not be reached: the waiter is told so', async () => {
    const { bench, batch } = await inherit('local');
    appendFileSync(join(bench.kb.gitDir, 'config'), '[remote "origin"]\n\turl = /remote\n');
    const kb = await openKbAt(bench.kb.surroundings, bench.kb.root, {});
    const withRemote = Batch.open(kb, bench.queue, bench.hold, MAIN, undefined);
    expect(batch.isInDoubt).toBe(true);
    withRemote.settleInherited({ tip: FROM }, never, isTo);
    const answer = bench.ackOf(1);
    expect(answer?.kind === 'failed' && answer.error).toMatchObject({
      code: 'E_NETWORK',
      details: { saved: oid('3') },
    });
  });

  it('was not even kept locally: it is no push, and cannot come later', async () => {
    const { batch } = await inherit('local');
    batch.settleInherited(undefined, never, never);
    expect(batch.isInDoubt).toBe(false);
    expect(texts(batch)).toEqual(['one', 'two']);
  });

  it('keeps its entries claimed when they must wait; the others go back into the queue', async () => {
    const { bench } = await inherit();
    const batch = bench.open(entryOf('own'));
    batch.holdBackEntries();
    expect(texts(batch)).toEqual(['own']);
    expect(bench.names()).toEqual(['1.ME.claimed', '2.entry', 'DEAD.plan']);
    expect(batch.takeWaiting()).toBe(false);
    batch.abandon(new KbError('E_NETWORK', 'gone'));
    expect(bench.names()).toEqual(['1.ME.claimed', '2.entry', 'DEAD.plan']);
  });

  it('outlives any number of holders that could not look', async () => {
    const { bench } = await inherit();
    for (let round = 0; round < 3; round += 1) {
      const batch = bench.open();
      batch.settleInherited(undefined, never, never);
      batch.abandon(new KbError('E_NETWORK', 'gone'));
    }
    const batch = bench.open();
    batch.settleInherited({ tip: oid('4') }, isTo, never);
    expect(bench.ackOf(1)).toMatchObject({ landed: true });
  });

  it('is forgotten when it holds no entry any more, or is damaged', async () => {
    const bench = await Bench.make();
    bench.writePlan({ from: FROM, to: TO, answers: new Map([[place(1), kept(oid('3'))]]) });
    expect(bench.open().isInDoubt).toBe(false);
    expect(bench.names()).toEqual([]);
    bench.enqueueClaimed(1, entryOf('one'));
    writeFileSync(join(bench.kb.gitDir, 'kb', 'queue', `${DEAD}.plan`), 'x');
    expect(bench.open().isInDoubt).toBe(false);
    expect(bench.names()).toEqual(['1.ME.claimed']);
  });
});
